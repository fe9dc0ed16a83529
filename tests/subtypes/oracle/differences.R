# Outside truth of differences between groups. From this folder: Rscript differences.R > values.csv
# data.csv: time, event, group (3), class (3), value, some tied.
library(survival)
set.seed(11)
n <- 120
group <- sample(c("a", "b", "c"), n, TRUE, c(.5, .3, .2))
rate <- c(a = .05, b = .08, c = .15)[group]
t <- ceiling(2 * rexp(n, rate)) / 2
cens <- ceiling(2 * runif(n, 2, 40)) / 2
d <- data.frame(time = pmin(t, cens), event = as.integer(t <= cens), group = group,
                class = sample(c("x", "y", "z"), n, TRUE), value = round(rnorm(n) + (group == "c"), 1))
write.csv(d, "data.csv", row.names = FALSE)
out <- function(name, value) cat(sprintf("%s,%.12g\n", name, value))
cat("name,value\n")
s <- survdiff(Surv(time, event) ~ group, d)
out("logrank_p", pchisq(s$chisq, 2, lower.tail = FALSE))
for (g in c("a", "b", "c")) {
  f <- summary(survfit(Surv(time, event) ~ 1, d[d$group == g, ]), rmean = 12)$table
  out(paste0("rmean_", g), f["rmean"]); out(paste0("rmean_se_", g), f["se(rmean)"])
}
out("kruskal_p", kruskal.test(value ~ factor(group), d)$p.value)
out("chisq_p", chisq.test(table(d$group, d$class), correct = FALSE)$p.value)
out("chisq_3_p", chisq.test(3 * table(d$group, d$class), correct = FALSE)$p.value)
p <- c(.01, .04, .03, .5, .2)
for (i in 1:5) { out(paste0("holm_", i), p.adjust(p, "holm")[i]); out(paste0("bh_", i), p.adjust(p, "BH")[i]) }
writeLines(c(R.version.string, paste("survival", packageVersion("survival"))), "versions.txt")
