# C-index of each region by a Cox model of all others, for benchmarks/federation_evaluation.py. usage: Rscript federation_evaluation.R DATA.csv OUT.csv
library(survival)
a <- commandArgs(TRUE)
d <- read.csv(a[1], check.names = FALSE)
few <- c("age_at_index", "ajcc_pathologic_t_T2", "ajcc_pathologic_t_T3", "ajcc_pathologic_n_N2", "treatment_or_therapy_yes")
x <- as.matrix(d[, few])
ctl <- coxph.control(eps = 1e-14, iter.max = 100, toler.chol = 1e-14)
c_of <- function(r) {
  o <- d$region != r
  b <- coef(coxph(Surv(d$T[o], d$E[o]) ~ x[o, ] + strata(d$region[o]), control = ctl, ties = "efron"))
  concordance(Surv(d$T[!o], d$E[!o]) ~ I(x[!o, ] %*% b), reverse = TRUE)$concordance
}
regions <- sort(unique(d$region))
write.csv(data.frame(region = regions, c = sprintf("%.14g", sapply(regions, c_of))), a[2], row.names = FALSE)
