"""Images as hospitals store them -> a table or a bag of numbers.

:mod:`listing` and :mod:`arrays` find images and whose they are; :mod:`formats` and its readers decode them; :mod:`embed`
and :mod:`descriptors` make numbers of them, kept in :mod:`cache`; :mod:`reader` puts these together.
"""

from cohortium.sources.images.reader import ImagesReader, as_before

__all__ = ["ImagesReader", "as_before"]
