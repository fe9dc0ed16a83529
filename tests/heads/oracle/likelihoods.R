# Oracle values for heads: coxph (Breslow ties, delayed entry, ridge) and polr. Needs R with survival and MASS.
# usage: Rscript likelihoods.R   (in this folder; writes data.csv and values.csv)
library(survival); library(MASS)
set.seed(11)
n <- 120
x1 <- round(rnorm(n), 3); x2 <- round(rnorm(n), 3); x3 <- rbinom(n, 1, .4)
entry <- round(runif(n, 0, 1), 1)
time <- entry + ceiling(rexp(n, exp(.6 * x1 - .4 * x3)) * 10) / 10
event <- rbinom(n, 1, .7)
grade <- cut(.9 * x1 - .5 * x2 + rlogis(n), c(-Inf, -1, .5, 2, Inf), labels = FALSE) - 1
write.csv(data.frame(x1, x2, x3, entry, time, event, grade), "data.csv", row.names = FALSE)
out <- function(name, v) data.frame(name = paste0(name, ".", seq_along(v)), value = sprintf("%.12f", v))
a <- coxph(Surv(entry, time, event) ~ x1 + x2 + x3, ties = "breslow", control = coxph.control(eps = 1e-12, iter.max = 50))
b <- coxph(Surv(time, event) ~ x1 + x2 + x3, ties = "breslow", control = coxph.control(eps = 1e-12, iter.max = 50))
r <- coxph(Surv(time, event) ~ ridge(x1, x2, x3, theta = 5, scale = FALSE), ties = "breslow",
           control = coxph.control(eps = 1e-12, iter.max = 50))
h <- basehaz(a, centered = FALSE)
p <- polr(factor(grade) ~ x1 + x2, method = "logistic", control = list(reltol = 1e-14, maxit = 1000))
res <- rbind(out("cox_entry", coef(a)), out("cox_entry_loglik", a$loglik), out("cox", coef(b)), out("cox_ridge", coef(r)),
             out("cox_entry_hazard_last", tail(h$hazard, 1)), out("polr", coef(p)), out("polr_zeta", p$zeta))
write.csv(res, "values.csv", row.names = FALSE, quote = FALSE)
writeLines(paste(R.version.string, "survival", packageVersion("survival"), "MASS", packageVersion("MASS")), "versions.txt")
