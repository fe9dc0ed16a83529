# Oracle values of means across sites. Needs R with metafor. usage: Rscript meta.R   (in this folder; writes meta.csv)
# Prediction interval: Riley 2011, BMJ 342:d549, t with k - 2 degrees of freedom, from metafor's tau2 and (Wald) standard error. Interval: of Hartung and Knapp, or without it where that is wider.
library(metafor)
cases <- list(list("c_index", c(.71, .66, .78, .59, .70, .81), c(.02, .03, .05, .04, .025, .06)),
              list("roc_auc", c(.70, .71, .69), c(.03, .04, .05)),
              list("observed_expected", c(.8, 1.1, 1.6, .9), c(.1, .15, .2, .12)),
              list("r2", c(.3, .1, .45, -.05), c(.05, .06, .04, .1)))
out <- NULL
for (k in cases) {
  x <- k[[2]]; e <- k[[3]]
  if (k[[1]] %in% c("c_index", "roc_auc")) { y <- qlogis(x); s <- e / (x * (1 - x)); back <- plogis
  } else if (k[[1]] == "r2") { y <- x; s <- e; back <- identity } else { y <- log(x); s <- e / x; back <- exp }
  z <- rma(y, sei = s, method = "PM", control = list(tol = 1e-12, maxiter = 10000))
  h <- rma(y, sei = s, method = "PM", test = "knha", control = list(tol = 1e-12, maxiter = 10000))
  half <- qt(.975, length(y) - 2) * sqrt(z$tau2 + z$se^2)
  i2 <- max(0, (z$QE - (z$k - 1)) / z$QE)
  v <- c(back(c(h$b, min(h$ci.lb, z$ci.lb), max(h$ci.ub, z$ci.ub), h$b - half, h$b + half)), sqrt(z$tau2), i2)
  out <- rbind(out, data.frame(metric = k[[1]], name = c("value", "low", "high", "next_low", "next_high", "tau", "i2"),
                               number = sprintf("%.12g", v), x = paste(x, collapse = " "), e = paste(e, collapse = " ")))
}
write.csv(out, "meta.csv", row.names = FALSE, quote = FALSE)
cat(R.version.string, "metafor", as.character(packageVersion("metafor")), "\n")
