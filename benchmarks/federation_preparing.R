# Choice of columns by stratified score tests, ridge Cox model and held-out C-indices on all rows together, in R.
# usage: Rscript federation_preparing.R rows.csv out.csv unused.csv GENES PENALTY   (called by federation_preparing.py)
suppressMessages(library(survival))
a <- commandArgs(TRUE); d <- read.csv(a[1], check.names = FALSE); u <- read.csv(a[3]); k <- as.integer(a[4]); theta <- as.numeric(a[5])
columns <- setdiff(names(d), c("time", "event", "region")); kept <- c("age", "is_female"); genes <- setdiff(columns, kept)
ctl <- coxph.control(eps = 1e-14, iter.max = 60, toler.chol = 1e-15)
null <- coxph.control(iter.max = 0)
fit <- function(d, name) {
  genes <- setdiff(genes, u$name[u$fit == name]); columns <- c(kept, genes)
  m <- colMeans(d[columns]); s <- sqrt(colMeans(sweep(d[columns], 2, m)^2))
  z <- as.matrix(sweep(sweep(d[columns], 2, m), 2, s, "/")); y <- Surv(d$time, d$event)
  s0 <- as.integer(factor(d$region))
  score <- sapply(genes, function(g) survival::coxph.fit(z[, g, drop = FALSE], y, s0, NULL, 0, null, NULL, "efron", NULL)$score)
  best <- genes[sort(order(-score)[seq_len(k)])]; use <- columns[columns %in% c(kept, best)]
  x <- z[, use]
  f <- coxph(y ~ ridge(x, theta = theta, scale = FALSE) + strata(d$region), ties = "efron", control = ctl)
  list(score = score, use = use, coef = coef(f), m = m, s = s)
}
line <- function(what, name, value) data.frame(what = what, name = name, value = sprintf("%.17g", value))
f <- fit(d, "all")
out <- rbind(line("score", names(f$score), f$score), line("coef", f$use, f$coef))
held <- NULL
for (r in unique(d$region)) {
  o <- d[d$region == r, ]; g <- fit(d[d$region != r, ], r)
  p <- as.vector(as.matrix(sweep(sweep(o[g$use], 2, g$m[g$use]), 2, g$s[g$use], "/")) %*% g$coef)
  out <- rbind(out, line("c", r, concordance(Surv(o$time, o$event) ~ p, reverse = TRUE)$concordance),
               line("slope", r, coef(coxph(Surv(o$time, o$event) ~ p, control = ctl))))
  held <- rbind(held, data.frame(time = o$time, event = o$event, region = r, p = p))
}
out <- rbind(out, line("slope", "all", coef(coxph(Surv(time, event) ~ p + strata(region), held, control = ctl))))
write.csv(out, a[2], row.names = FALSE)
