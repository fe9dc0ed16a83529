# Outside truth from R itself and its survival package. Rscript more.R, in this folder, after survival.R: reads data.csv,
# writes classes.csv (what is predicted and what came) and more.csv (name,value).
suppressMessages(library(survival))
set.seed(3); out <- list()
put <- function(name, v) out[[length(out) + 1]] <<- data.frame(name = paste0(name, if (length(v) > 1) paste0("_", seq_along(v)) else ""), value = v)
n <- 120
p <- round(plogis(rnorm(n, sd = 1.2)), 2); p <- pmin(pmax(p, 0.01), 0.99)
y <- rbinom(n, 1, plogis(0.3 + 0.7 * qlogis(p)))
value <- round(2 * qlogis(p) + rnorm(n), 1)
write.csv(data.frame(p, y, value), "classes.csv", row.names = FALSE)
fit <- glm(y ~ qlogis(p), family = binomial, control = list(epsilon = 1e-12)); put("calibration", unname(coef(fit)))
put("auc", unname(wilcox.test(p[y == 1], p[y == 0], exact = FALSE)$statistic) / (sum(y) * sum(1 - y)))
put("spearman", cor(value, p, method = "spearman"))
put("r2", 1 - sum((value - 3 * p)^2) / sum((value - mean(value))^2))
low <- order(p)[1:12]
put("wilson", c(prop.test(sum(y[low]), 12, correct = FALSE)$conf.int))
put("log_loss", -mean(dbinom(y, 1, p, log = TRUE)))
d <- read.csv("data.csv"); d$three <- cut(d$risk, c(-Inf, -0.3, 0.4, Inf), labels = FALSE)
put("logrank_three", survdiff(Surv(time, event) ~ three, d)$pvalue)
# Without tied events the log-rank test is the score test of a Cox model, which takes delayed entry.
d$untied <- d$time + 1e-5 * seq_len(nrow(d))
put("untied", sum(d$untied))
score <- function(f) { s <- summary(f)$sctest; unname(s["pvalue"]) }
put("logrank_entry", score(coxph(Surv(entry, untied, event) ~ factor(three), d)))
put("harrell_entry_untied", concordance(Surv(entry, untied, event) ~ risk, d, reverse = TRUE)$concordance)
put("uno_tau", concordance(Surv(time, event) ~ risk, d, reverse = TRUE, timewt = "n/G2", ymax = 12)$concordance)
# G, of staying uncensored: of what happens at one time, events come first, then censorings, then entries.
d$late <- d$time + 1e-3 * (d$event == 0)
g <- summary(survfit(Surv(entry + 2e-3, late, 1 - event) ~ 1, d), times = c(3, 8, 15) + 1e-2); put("censoring_entry", g$surv)
write.csv(do.call(rbind, out), "more.csv", row.names = FALSE)
