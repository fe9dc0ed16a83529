# Outside truth for calibration from R itself and its survival package. Rscript calibration.R, in this folder, after
# more.R: reads classes.csv and data.csv, writes calibration.csv (name,value).
suppressMessages(library(survival)); out <- list()
put <- function(name, v) out[[length(out) + 1]] <<- data.frame(name = paste0(name, if (length(v) > 1) paste0("_", seq_along(v)) else ""), value = v)
tight <- glm.control(epsilon = 1e-14, maxit = 100)
smooth <- function(y, p) predict(loess(y ~ p, control = loess.control(surface = "direct")))
gaps <- function(y, p) { g <- abs(p - pmin(pmax(smooth(y, p), 0), 1)); c(mean(g), quantile(g, c(.5, .9), names = FALSE)) }
d <- read.csv("classes.csv"); y <- d$y; p <- d$p
put("line", unname(coef(glm(y ~ qlogis(p), binomial, control = tight))))
put("large", unname(coef(glm(y ~ offset(qlogis(p)), binomial, control = tight))))
put("ratio", mean(p) / mean(y)); put("gaps", gaps(y, p))
fit <- loess(y ~ p, control = loess.control(surface = "direct")); at <- c(.2, .5, .8)
put("smooth", unname(predict(fit, data.frame(p = at))))
# Survival: predicted by an exponential model of the risk score, not the one that made the data.
d <- read.csv("data.csv"); h <- 8
rate <- 0.08 * exp(0.8 * d$risk); p <- 1 - exp(-rate * h)
for (late in c(FALSE, TRUE)) {
  name <- function(x) paste0(x, if (late) "_late" else "")
  entry <- if (late) d$entry else rep(0, nrow(d)); s <- function(rows = TRUE) {
    f <- if (late) survfit(Surv(entry, time, event) ~ 1, data.frame(entry, d[c("time", "event")])[rows, ]) else survfit(Surv(time, event) ~ 1, d[rows, ])
    summary(f, times = h, extend = TRUE)$surv }
  put(name("expected_observed"), mean(p) / (1 - s()))
  n <- nrow(d); pseudo <- sapply(seq_len(n), function(i) n * s() - (n - 1) * s(-i))
  put(name("pseudo"), pseudo[c(1, 7, 20, 33)]); put(name("pseudo_sum_of_squares"), sum(pseudo^2))
  put(name("pseudo_gaps"), gaps(1 - pseudo, p))
  end <- pmin(d$time, h); seen <- as.integer(d$event == 1 & d$time <= h); x <- log(-log(1 - p))
  f <- if (late) coxph(Surv(entry, end, seen) ~ x, subset = entry < end, control = coxph.control(eps = 1e-14, iter.max = 100)) else
    coxph(Surv(end, seen) ~ x, control = coxph.control(eps = 1e-14, iter.max = 100))
  put(name("cox"), unname(coef(f)))
  hazard <- rate * pmax(end - pmin(entry, end), 0)
  keep <- hazard > 0
  put(name("poisson"), unname(coef(glm(seen[keep] ~ offset(log(hazard[keep])), poisson, control = tight))))
}
write.csv(do.call(rbind, out), "calibration.csv", row.names = FALSE)
