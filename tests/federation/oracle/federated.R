# Oracle values for federated fits: the same models on all rows together, in R. Needs R with survival, nnet.
# usage: Rscript federated.R   (in this folder; writes data.csv, values.csv, versions.txt)
library(survival); library(nnet)
set.seed(7)
n <- 260
site <- sample(c("east", "north", "south", "west"), n, TRUE, c(.2, .4, .25, .15))
age <- round(rnorm(n, 60 + 5 * (site == "north"), 9), 1)
size <- round(rexp(n, .4), 2)
grade <- sample(c("high", "low", "mid"), n, TRUE)
node <- rbinom(n, 1, .45)
w <- round(runif(n, .5, 2), 2)
lin <- .04 * (age - 60) + .25 * size + .8 * (grade == "high") - .5 * node
y <- round(2 + lin + rnorm(n), 3)
resp <- rbinom(n, 1, plogis(lin - .7))
cls <- c("a", "b", "c")[1 + (lin + rlogis(n) > .3) + (lin - .5 * node + rlogis(n) > 1.5)]
entry <- round(runif(n, 0, .5), 1)
time <- round(entry + rexp(n, .3 * exp(lin) * ifelse(site == "west", 2, 1)) + .1, 1)   # one decimal: many ties
status <- rbinom(n, 1, .7)
d <- data.frame(id = sprintf("P%03d", 1:n), site, age, size, grade, node, w, y, resp, cls, entry, time, status)
write.csv(d, "data.csv", row.names = FALSE, quote = FALSE)
out <- function(name, v) data.frame(name = paste0(name, ".", seq_along(v)), value = sprintf("%.12g", v))
ctl <- coxph.control(eps = 1e-14, iter.max = 60, toler.chol = 1e-14)
g <- glm.control(epsilon = 1e-15, maxit = 100)
f <- ~ age + size + grade + node
l <- lm(update(f, y ~ .), d); lw <- lm(update(f, y ~ .), d, weights = w)
b <- glm(update(f, resp ~ .), binomial, d, control = g)
bw <- suppressWarnings(glm(update(f, resp ~ .), binomial, d, weights = w, control = g))
c1 <- coxph(Surv(time, status) ~ age + size + grade + node + strata(site), d, ties = "efron", control = ctl)
c2 <- coxph(Surv(entry, time, status) ~ age + size + grade + node + strata(site), d, ties = "efron", control = ctl)
c3 <- coxph(Surv(time, status) ~ age + size + grade + node + strata(site), d, weights = w, ties = "efron",
            robust = FALSE, control = ctl)
pop <- function(x) (x - mean(x)) / sqrt(mean((x - mean(x))^2))
z <- data.frame(a = pop(d$age), s = pop(d$size), l = pop(d$grade == "low"), m = pop(d$grade == "mid"), n = pop(d$node))
c4 <- coxph(Surv(time, status) ~ ridge(a, s, l, m, n, theta = 7, scale = FALSE) + strata(site), cbind(d, z),
            ties = "efron", control = ctl)
m <- multinom(update(f, cls ~ .), d, trace = FALSE, reltol = 1e-15, abstol = 1e-15, maxit = 5000)
se <- function(x) sqrt(diag(vcov(x)))
res <- rbind(out("linear", coef(l)), out("linear_se", se(l)), out("linear_w", coef(lw)),
  out("logistic", coef(b)), out("logistic_se", se(b)), out("logistic_w", coef(bw)), out("logistic_p", summary(b)$coefficients[, 4]),
  out("cox", coef(c1)), out("cox_se", se(c1)), out("cox_loglik", c1$loglik),
  out("cox_entry", coef(c2)), out("cox_entry_se", se(c2)), out("cox_w", coef(c3)), out("cox_w_se", se(c3)),
  out("cox_ridge", coef(c4)), out("multinom", as.vector(t(coef(m)))), out("linear_p", summary(l)$coefficients[, 4]))
write.csv(res, "values.csv", row.names = FALSE, quote = FALSE)
writeLines(paste(R.version.string, "survival", packageVersion("survival"), "nnet", packageVersion("nnet")), "versions.txt")
