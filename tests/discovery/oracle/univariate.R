# Outside truth of univariate associations. From this folder: Rscript univariate.R > values.csv
# data.csv: x1-x3 features (x3 yes/no), c1, c2 covariates, outcomes value, yes, grade (3 ordered), kind (3), entry, time, event (tied).
library(survival); library(MASS)
set.seed(5)
n <- 150
d <- data.frame(x1 = round(rnorm(n), 3), x2 = round(rexp(n), 3), x3 = rbinom(n, 1, .3), c1 = round(rnorm(n), 3), c2 = rbinom(n, 1, .5))
s <- .5 * d$x1 - .4 * d$x2 + .6 * d$x3 + .5 * d$c1
d$value <- round(s + rnorm(n), 3)
d$yes <- rbinom(n, 1, plogis(s))
d$grade <- cut(s + rlogis(n), c(-Inf, -.5, 1, Inf), labels = FALSE) - 1
d$kind <- sample(0:2, n, TRUE); d$kind[s > 1] <- 2
t <- ceiling(10 * rexp(n, .1 * exp(s))) / 2; cens <- ceiling(2 * runif(n, 10, 200)) / 2
d$event <- as.integer(t <= cens); d$time <- pmin(t, cens); d$entry <- ifelse(d$time > 4, 2 * rbinom(n, 1, .3), 0)
write.csv(d, "data.csv", row.names = FALSE)
out <- function(name, value) cat(sprintf("%s,%.12g\n", name, value))
cat("name,value\n")
for (x in c("x1", "x2", "x3")) for (adjusted in c("", "_adjusted")) {
  rest <- if (adjusted == "") "1" else "c1 + c2"
  tag <- paste0(x, adjusted)
  f <- function(y, more = "") as.formula(paste(y, "~", rest, more))
  m <- coef(summary(lm(f("value", paste("+", x)), d)))[x, ]
  out(paste0("lm_effect_", tag), m[1]); out(paste0("lm_se_", tag), m[2]); out(paste0("lm_p_", tag), m[4])
  a <- glm(f("yes"), binomial, d); b <- glm(f("yes", paste("+", x)), binomial, d, epsilon = 1e-12)
  out(paste0("glm_rao_p_", tag), anova(a, b, test = "Rao")[2, "Pr(>Chi)"])
  out(paste0("glm_effect_", tag), coef(summary(b))[x, 1]); out(paste0("glm_se_", tag), coef(summary(b))[x, 2])
  y <- "Surv(entry, time, event)"
  b <- coxph(f(y, paste("+", x)), d, ties = "breslow", control = coxph.control(eps = 1e-12, iter.max = 50))
  start <- if (adjusted == "") 0 else c(coef(coxph(f(y), d, ties = "breslow", control = coxph.control(eps = 1e-12, iter.max = 50))), 0)
  null <- coxph(f(y, paste("+", x)), d, ties = "breslow", init = start, control = coxph.control(iter.max = 0))
  out(paste0("cox_score_p_", tag), pchisq(null$score, 1, lower.tail = FALSE))
  out(paste0("cox_effect_", tag), coef(b)[x]); out(paste0("cox_se_", tag), sqrt(vcov(b)[x, x]))
  b <- polr(as.formula(paste("factor(grade) ~", if (adjusted == "") x else paste(x, "+ c1 + c2"))), d, Hess = TRUE, control = list(reltol = 1e-14))
  out(paste0("polr_effect_", tag), coef(b)[x]); out(paste0("polr_se_", tag), sqrt(vcov(b)[x, x]))
  a <- lm(f(x), d); b <- lm(f(x, "+ factor(kind)"), d)
  out(paste0("class_f_p_", tag), anova(a, b)[2, "Pr(>F)"])
}
writeLines(c(R.version.string, paste("survival", packageVersion("survival")), paste("MASS", packageVersion("MASS"))), "versions.txt")
