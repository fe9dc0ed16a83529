# Oracle values for federated selection: Rao's score test of each column by itself, on all rows together, in R.
# usage: Rscript selecting.R   (in this folder; reads data.csv, writes selecting.csv; versions as in versions.txt)
library(survival)
d <- read.csv("data.csv")
columns <- list(age = d$age, size = d$size, "grade=low" = as.numeric(d$grade == "low"),
                "grade=mid" = as.numeric(d$grade == "mid"), node = d$node)
rao <- function(family, y) sapply(columns, function(x) anova(glm(y ~ 1, family), glm(y ~ x, family), test = "Rao")$Rao[2])
cox <- function(y, ...) sapply(columns, function(x) coxph(y ~ x + strata(d$site), ties = "efron", ...)$score)
res <- list(binary = rao(binomial, d$resp), survival = cox(Surv(d$time, d$status)), entry = cox(Surv(d$entry, d$time, d$status)),
  # of a linear model with the residual variance of the null model (R's Rao test takes that of the larger one's dispersion)
  continuous = sapply(columns, function(x) nrow(d) * cor(x, d$y)^2))
write.csv(do.call(rbind, lapply(names(res), function(k) data.frame(kind = k, column = names(columns),
  value = sprintf("%.14g", res[[k]])))), "selecting.csv", row.names = FALSE, quote = FALSE)
