# Oracle values for ComBat: sva::ComBat, as it is and with its fixed point iterated to the end. Needs R with sva.
# usage: Rscript combat.R   (in this folder; writes combat_data.csv, combat_values.csv and combat_versions.txt)
suppressMessages(library(sva))
set.seed(7)
n <- 30; p <- 12
batch <- rep(c("x", "y", "z"), c(12, 11, 7))
age <- round(rnorm(n, 60, 9)); sex <- rbinom(n, 1, .5)
shift <- matrix(rnorm(3 * p, 0, 1.5), 3); stretch <- matrix(runif(3 * p, .5, 2.2), 3)
k <- match(batch, c("x", "y", "z"))
dat <- matrix(rnorm(n * p), n) * stretch[k, ] + shift[k, ] + outer(age - 60, rnorm(p, 0, .08)) + outer(sex, rnorm(p)) + 5
dat <- round(dat, 4)
dat[, 5] <- round(ifelse(batch == "y", 3, dat[, 5]), 4)         # constant in one batch: not adjusted
holes <- dat; holes[cbind(sample(n, 25, TRUE), sample(setdiff(1:p, 5), 25, TRUE))] <- NA
colnames(dat) <- paste0("f", 1:p)
write.csv(data.frame(batch, age, sex, dat, holes = holes), "combat_data.csv", row.names = FALSE, na = "")
mod <- model.matrix(~ age + sex)
quiet <- function(...) { capture.output(v <- suppressMessages(ComBat(...))); t(v) }
cases <- function() list(plain = quiet(t(dat), batch), covariates = quiet(t(dat), batch, mod), holes = quiet(t(holes), batch),
                         holes_covariates = quiet(t(holes[, -5]), batch, mod))
long <- function(how, v) do.call(rbind, lapply(names(v), function(c) data.frame(
  how, case = c, row = rep(seq_len(nrow(v[[c]])), ncol(v[[c]])), column = rep(seq_len(ncol(v[[c]])), each = nrow(v[[c]])),
  value = sprintf("%.12g", as.vector(v[[c]])))))
stock <- cases()
source_of <- sva:::it.sol
formals(source_of)$conv <- 1e-13
# Its own rule takes differences divided by a signed number; to the end means that nothing moves, whatever the sign.
text <- deparse(source_of); text <- gsub("abs(g.new - g.old)/g.old", "abs(g.new - g.old)", text, fixed = TRUE)
source_of <- eval(parse(text = text), asNamespace("sva"))
assignInNamespace("it.sol", source_of, "sva")
write.csv(rbind(long("stock", stock), long("converged", cases())), "combat_values.csv", row.names = FALSE, quote = FALSE)
writeLines(paste(R.version.string, "sva", packageVersion("sva")), "combat_versions.txt")
