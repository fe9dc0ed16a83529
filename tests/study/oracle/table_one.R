# Outside truth of table one from R and its survival package. Rscript table_one.R, in this folder, after table_one.py:
# reads table_one_data.csv, writes table_one.csv (name,value) and table_one_versions.txt.
suppressMessages(library(survival))
d <- read.csv("table_one_data.csv", colClasses = c(id = "character"))
out <- list()
put <- function(name, v) out[[length(out) + 1]] <<- data.frame(name = name, value = v)
shares <- function(x, levels) prop.table(table(factor(x, levels)))[-1]
spread <- function(p) { m <- -tcrossprod(p); diag(m) <- p * (1 - p); m }
describe <- function(name, inside) {
  a <- d[inside, ]; b <- d[!inside, ]
  put(paste0(name, "_n"), nrow(a)); put(paste0(name, "_missing"), sum(is.na(a$age)))
  q <- quantile(a$age, c(.25, .5, .75), na.rm = TRUE, type = 7)
  put(paste0(name, "_q1"), q[1]); put(paste0(name, "_median"), q[2]); put(paste0(name, "_q3"), q[3])
  for (s in c("I", "II", "III", "IV")) put(paste0(name, "_stage_", s), sum(a$stage == s))
  put(paste0(name, "_events"), sum(a$event))
  # reverse Kaplan-Meier: censoring is the event
  put(paste0(name, "_follow_up"), unname(quantile(survfit(Surv(days, 1 - event) ~ 1, a), 0.5)$quantile))
  if (nrow(b)) {
    put(paste0(name, "_smd_age"), abs(mean(a$age, na.rm = TRUE) - mean(b$age, na.rm = TRUE)) /
      sqrt((var(a$age, na.rm = TRUE) + var(b$age, na.rm = TRUE)) / 2))
    for (v in c("stage", "sex")) {
      levels <- sort(unique(d[[v]])); p <- shares(a[[v]], levels); q <- shares(b[[v]], levels)
      put(paste0(name, "_smd_", v), sqrt(mahalanobis(c(p), c(q), (spread(c(p)) + spread(c(q))) / 2)))
    }
  }
}
describe("everyone", rep(TRUE, nrow(d)))
for (s in c("north", "south", "west")) describe(s, d$site == s)
describe("test part", d$part == "test")
write.csv(do.call(rbind, out), "table_one.csv", row.names = FALSE)
writeLines(c(R.version.string, paste("survival", packageVersion("survival"))), "table_one_versions.txt")
