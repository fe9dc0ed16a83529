# Cox partial log likelihood with Efron's ties and delayed entry at fixed scores, for tests/networks/test_objectives.py.
# R 4.x, survival; Rscript efron.R
library(survival)
cat(R.version.string, "survival", as.character(packageVersion("survival")), "\n")
time <- c(5, 3, 3, 8, 2, 5, 5, 9, 1, 3, 7, 6)
event <- c(1, 1, 1, 0, 1, 1, 0, 1, 0, 1, 1, 0)
entry <- c(0, 1, 0, 2, 0, 4, 0, 3, 0, 2, 5, 0)
x <- c(0.5, -1.2, 0.3, 0.8, 1.5, -0.4, 0.1, -0.9, 0.2, 1.1, -0.6, 0.7)
plain <- coxph(Surv(time, event) ~ x, ties = "efron", init = 0.7, control = coxph.control(iter.max = 0))
late <- coxph(Surv(entry, time, event) ~ x, ties = "efron", init = 0.7, control = coxph.control(iter.max = 0))
cat(sprintf("%.12f %.12f\n", plain$loglik[2], late$loglik[2]))
