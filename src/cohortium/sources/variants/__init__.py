"""Files of genetic variants -> a table: alternate alleles by gene, or the dosage of each variant.

:mod:`vcf`, :mod:`maf` and :mod:`plink` read files piece by piece; :mod:`annotation` and :mod:`regions` say which gene a
variant is in; :mod:`tally` counts; :mod:`reader` puts these together.
"""

from cohortium.sources.variants.reader import VariantsReader

__all__ = ["VariantsReader"]
