# Oracle values for competing risks: cmprsk::crr, survival::finegray + coxph (tied times), riskRegression::CSC.
# usage: R_LIBS=... Rscript competing.R   (in this folder; writes competing_data.csv, competing_values.csv, competing_versions.txt)
suppressMessages({library(survival); library(cmprsk); library(riskRegression); library(prodlim)})
set.seed(21)
n <- 240
x1 <- round(rnorm(n), 3); x2 <- round(rnorm(n), 3); x3 <- rbinom(n, 1, .4)
t1 <- rexp(n, .5 * exp(.7 * x1 - .5 * x3)); t2 <- rexp(n, .4 * exp(-.4 * x1 + .5 * x2)); t3 <- rexp(n, .15 * exp(.3 * x2))
c0 <- rexp(n, .35)
all <- cbind(c0, t1, t2, t3)
time <- round(apply(all, 1, min), 6); cause <- apply(all, 1, which.min) - 1
stopifnot(!anyDuplicated(time))
tied <- ceiling(time * 8) / 8
d <- data.frame(x1, x2, x3, time, cause, tied)
write.csv(d, "competing_data.csv", row.names = FALSE)
x <- as.matrix(d[, 1:3]); at <- c(.3, .8, 1.5); new <- rbind(c(0, 0, 0), c(1, -.5, 1), c(-1, 1, 0)); colnames(new) <- colnames(x)
out <- function(name, v) data.frame(name = paste0(name, ".", seq_along(v)), value = sprintf("%.12f", v))
f <- crr(d$time, d$cause, x, failcode = 1, cencode = 0, gtol = 1e-12, maxiter = 100)
p <- predict(f, new)   # times, then a column per patient
crr_at <- sapply(at, function(t) p[max(which(p[, 1] <= t)), -1])   # patients x times
d$status <- factor(d$cause, 0:3)
fg <- finegray(Surv(tied, status) ~ ., data = d[, c("x1", "x2", "x3", "tied", "status")], etype = "1")
g <- coxph(Surv(fgstart, fgstop, fgstatus) ~ x1 + x2 + x3, weights = fgwt, data = fg, ties = "breslow",
           control = coxph.control(eps = 1e-12, iter.max = 50))
hz <- basehaz(g, newdata = data.frame(x1 = 0, x2 = 0, x3 = 0))
csc <- CSC(Hist(time, cause) ~ x1 + x2 + x3, data = d, ties = "breslow")
cp <- predict(csc, newdata = as.data.frame(new), times = at, cause = 1, product.limit = FALSE)$absRisk
cox1 <- coxph(Surv(tied, cause == 1) ~ x1 + x2 + x3, d, ties = "breslow", control = coxph.control(eps = 1e-12, iter.max = 50))
cox2 <- coxph(Surv(tied, cause == 2) ~ x1 + x2 + x3, d, ties = "breslow", control = coxph.control(eps = 1e-12, iter.max = 50))
res <- rbind(out("crr", f$coef), out("crr_loglik", f$loglik), out("crr_incidence", as.vector(t(crr_at))), out("finegray_tied", coef(g)),
             out("finegray_tied_hazard_last", tail(hz$hazard, 1)), out("csc_incidence", as.vector(t(cp))),
             out("csc_1", coef(csc$models[[1]])), out("csc_2", coef(csc$models[[2]])), out("cox_tied_1", coef(cox1)), out("cox_tied_2", coef(cox2)))
write.csv(res, "competing_values.csv", row.names = FALSE, quote = FALSE)
writeLines(paste(R.version.string, "survival", packageVersion("survival"), "cmprsk", packageVersion("cmprsk"),
                 "riskRegression", packageVersion("riskRegression")), "competing_versions.txt")
