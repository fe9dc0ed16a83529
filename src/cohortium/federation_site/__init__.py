"""What a site does in a federated study: a question in, sums over its own patients out.

``answer`` is pure: it depends on the site's data and the question alone, so that a site that was restarted answers as before.
May know: cohort, contracts, schema, numpy. May not know: the coordinator, other sites, any engine, files.
"""

from cohortium.federation_site.answering import answer, too_few
from cohortium.federation_site.site import Feature, Site, site_of

__all__ = ["Feature", "Site", "answer", "site_of", "too_few"]
