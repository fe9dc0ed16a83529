# Oracle values for competing risks: prodlim and cmprsk (Aalen-Johansen), riskRegression::Score (AUC, Brier), and Wolbers' C by its definition.
# usage: R_LIBS=... Rscript competing.R   (in this folder; writes competing_data.csv, competing_values.csv, competing_versions.txt)
suppressMessages({library(survival); library(cmprsk); library(riskRegression); library(prodlim)})
set.seed(31)
n <- 180
x <- rnorm(n)
all <- cbind(rexp(n, .3), rexp(n, .4 * exp(.8 * x)), rexp(n, .3 * exp(-.2 * x)))
time <- ceiling(apply(all, 1, min) * 12) / 12; cause <- apply(all, 1, which.min) - 1   # tied times
risk <- round(x + rnorm(n, 0, .6), 1)
p <- function(a) round(1 - exp(-a * exp(.8 * risk)), 4)
at <- c(.5, 1, 2); P <- sapply(c(.2, .35, .55), p)
d <- data.frame(time, cause, risk, p1 = P[, 1], p2 = P[, 2], p3 = P[, 3])
write.csv(d, "competing_data.csv", row.names = FALSE)
out <- function(name, v) data.frame(name = paste0(name, ".", seq_along(v)), value = sprintf("%.12f", v))
a <- prodlim(Hist(time, cause) ~ 1, data = d)
k <- sapply(at, function(t) max(which(a$time <= t)))
ci <- cuminc(d$time, d$cause); tp <- timepoints(ci, at)
s <- Score(list(m = P), Hist(time, cause) ~ 1, data = d, cause = 1, times = at, metrics = c("auc", "brier"), cens.model = "km",
           cens.method = "ipcw", split.method = "none", null.model = FALSE, se.fit = FALSE)
wolbers <- function(tau) {   # Wolbers 2014, Biostatistics 15:526, equation by equation
  G <- prodlim(Hist(time, cause) ~ 1, data = d, reverse = TRUE)
  after <- function(t) predict(prodlim(Hist(time, cause != 0) ~ 1, data = d, reverse = TRUE), times = t, level.chaos = 1)
  before <- function(t) after(t - 1e-7)
  num <- den <- 0
  g1 <- sapply(d$time, before); g2 <- sapply(d$time, after)
  for (i in 1:n) if (d$cause[i] == 1 && d$time[i] <= tau) for (j in 1:n) {
    w <- 0
    if (d$time[i] < d$time[j] || (d$time[i] == d$time[j] && d$cause[j] == 0)) w <- 1 / (g1[i] * g2[i])
    if (d$time[j] <= d$time[i] && d$cause[j] == 2) w <- 1 / (g1[i] * g1[j])
    den <- den + w; num <- num + w * ((d$risk[i] > d$risk[j]) + .5 * (d$risk[i] == d$risk[j]))
  }
  num / den
}
res <- rbind(out("incidence", a$cuminc[[1]][k]), out("se", a$se.cuminc[[1]][k]), out("incidence_2", a$cuminc[[2]][k]),
             out("cuminc", tp$est[1, ]), out("cuminc_var", tp$var[1, ]),
             out("auc", s$AUC$score$AUC), out("brier", s$Brier$score$Brier[s$Brier$score$model == "m"]), out("wolbers", c(wolbers(1), wolbers(2))))
write.csv(res, "competing_values.csv", row.names = FALSE, quote = FALSE)
writeLines(paste(R.version.string, "cmprsk", packageVersion("cmprsk"), "prodlim", packageVersion("prodlim"),
                 "riskRegression", packageVersion("riskRegression")), "competing_versions.txt")
