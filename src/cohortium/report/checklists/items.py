"""Items of reporting guidelines: what each asks for, in our words, and by which topics it is answered.

A topic is answered by the records (:mod:`evidence`), by the statement of that name, or by both. ``topic!`` needs the statement:
what the records say of it is only part of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """number: as printed in the guideline. draft: what is given is a proposal, to be finished in the paper."""

    number: str
    section: str
    asks: str
    topics: tuple[str, ...]
    draft: bool = False


def _items(section: str, *rows: tuple[str, str, str]) -> tuple[Item, ...]:
    """number (``~`` before it: a draft), what is asked, topics with blanks between."""
    return tuple(
        Item(number.lstrip("~"), section, asks, tuple(topics.split()), number.startswith("~"))
        for number, asks, topics in rows
    )


TRIPOD_AI = (
    *_items(
        "Title and abstract",
        ("~1", "Title: that a prediction model is developed or evaluated, for whom, for which outcome", "title"),
        ("~2", "Abstract, structured as TRIPOD+AI for abstracts asks", "abstract"),
    ),
    *_items(
        "Introduction",
        ("3a", "Healthcare context, diagnostic or prognostic, and why a model; earlier models", "background"),
        ("3b", "Target population, purpose in the care pathway, intended users", "intended_use"),
        ("3c", "Known health inequalities between sociodemographic groups", "health_inequalities"),
        ("4", "Objectives; whether a model is developed, evaluated, or both", "objectives"),
    ),
    *_items(
        "Methods",
        ("5a", "Sources of data, why these, and how representative they are", "data_sources representativeness"),
        ("5b", "Dates of enrolment and of the end of follow-up", "dates"),
        ("6a", "Setting; number and location of centres", "setting!"),
        ("6b", "Eligibility criteria", "eligibility!"),
        ("6c", "Treatments received, and how they were handled", "treatments"),
        ("7", "Preparation and quality checks of the data, alike in all groups", "data_preparation!"),
        ("8a", "Outcome: definition, time horizon, how and when assessed, why this one", "outcome_definition!"),
        ("8b", "Assessors of an outcome that needs interpretation", "outcome_assessors"),
        ("8c", "Blinding of the assessment of the outcome", "outcome_blinding"),
        ("9a", "Choice of the initial predictors", "predictor_choice"),
        ("9b", "Definition of all predictors, how and when measured", "predictor_definitions!"),
        ("9c", "Assessors of predictors that need interpretation", "predictor_assessors"),
        ("10", "How the sample size came about, and whether it is enough", "sample_size!"),
        ("11", "Missing data: how handled, why left out", "missing_data!"),
        ("12a", "How the data were used for development and evaluation, and divided", "partition disjoint"),
        ("12b", "Handling of predictors: form, rescaling, coding", "predictor_handling"),
        ("12c", "Type of model, its rationale, all steps of building it, tuning, internal validation", "model_building selection leakage"),
        ("12d", "Heterogeneity between clusters (hospitals, countries)", "clusters"),
        ("12e", "Measures and plots of performance, and comparison of models", "measures uncertainty"),
        ("12f", "Updating of the model by the evaluation (recalibration)", "recalibration"),
        ("12g", "How predictions were calculated for evaluation", "prediction_calculation"),
        ("13", "Methods against class imbalance, and recalibration after them", "imbalance"),
        ("14", "Fairness: approaches and their rationale", "fairness!"),
        ("15", "Output of the model; thresholds of a classification", "output thresholds!"),
        ("16", "Differences between development and evaluation data", "differences"),
        ("17", "Ethical approval, consent or waiver", "ethics"),
    ),
    *_items(
        "Open science",
        ("18a", "Funding, and the part of the funders", "funding"),
        ("18b", "Conflicts of interest", "conflicts"),
        ("18c", "Protocol", "protocol"),
        ("18d", "Registration", "registration"),
        ("18e", "Availability of the data", "data_sharing"),
        ("18f", "Availability of the code", "code_sharing"),
    ),
    *_items("Patient and public involvement", ("19", "How patients and the public took part, or that they did not", "patient_involvement")),
    *_items(
        "Results",
        ("20a", "Flow of participants, with numbers with and without the outcome, and follow-up", "flow"),
        ("20b", "Characteristics overall and by source or setting, with missing data", "characteristics"),
        ("20c", "Comparison of evaluation with development data for important predictors", "differences"),
        ("21", "Numbers of participants and outcome events in each analysis", "development"),
        ("22", "The full model, so that others can predict with it", "specification"),
        ("23a", "Performance with intervals, in key subgroups too", "performance calibration net_benefit"),
        ("23b", "Heterogeneity of performance between clusters", "heterogeneity"),
        ("24", "Results of any updating", "updating"),
    ),
    *_items(
        "Discussion",
        ("25", "Interpretation, fairness among it, beside objectives and earlier studies", "interpretation!"),
        ("26", "Limitations", "limitations!"),
        ("27a", "Handling of poor or unavailable input when the model is used", "input_quality"),
        ("27b", "What users must do and know", "user_expertise"),
        ("27c", "Next steps; applicability and generalisability", "next_steps"),
    ),
)  # fmt: skip
"""Collins 2024, BMJ 385:e078378: 27 items, 52 with their parts."""

CLAIM = (
    *_items(
        "Title and abstract",
        ("~1", "AI methodology named in title or abstract", "title"),
        ("~2", "Summary of design, methods, results and conclusions", "abstract"),
    ),
    *_items(
        "Introduction",
        ("3", "Scientific and clinical background, intended use and role", "background intended_use"),
        ("4", "Aims, objectives and hypotheses", "objectives"),
    ),
    *_items(
        "Methods: design and data",
        ("5", "Prospective or retrospective", "study_design"),
        ("6", "Goal of the study", "intended_use objectives"),
        ("7", "Sources of data", "data_sources"),
        ("8", "Inclusion and exclusion criteria", "eligibility!"),
        ("9", "Preprocessing", "predictor_handling data_preparation"),
        ("10", "Selection of subsets of the data", "predictor_choice"),
        ("11", "De-identification", "deidentification!"),
        ("12", "Handling of missing data", "missing_data"),
        ("13", "Image acquisition protocol", "image_acquisition"),
    ),
    *_items(
        "Methods: reference standard",
        ("14", "Definition of the reference standard", "outcome_definition!"),
        ("15", "Why it was chosen, and its limits", "outcome_definition!"),
        ("16", "Source of annotations, qualification of annotators", "outcome_assessors"),
        ("17", "Annotation of the test set", "outcome_assessors outcome_blinding"),
        ("18", "Variability within and between raters", "rater_agreement"),
    ),
    *_items(
        "Methods: partitions and model",
        ("19", "How data were assigned to partitions", "partition"),
        ("20", "Level at which partitions are disjoint", "disjoint"),
        ("21", "Intended sample size", "sample_size!"),
        ("22", "Description of the model", "model_building output"),
        ("23", "Software, with versions", "software"),
        ("24", "Initialisation of parameters", "initialization"),
        ("25", "Training, with hyperparameters", "model_building leakage"),
        ("26", "How the final model was selected", "selection"),
        ("27", "Ensembling", "ensembling"),
    ),
    *_items(
        "Methods: evaluation",
        ("28", "Metrics of performance", "measures"),
        ("29", "Measures of significance and uncertainty", "uncertainty"),
        ("30", "Robustness or sensitivity", "robustness"),
        ("31", "Methods of explanation", "explanation"),
        ("32", "Evaluation on internal data", "partition"),
        ("33", "Testing on external data", "external"),
        ("34", "Registration of a trial", "registration"),
    ),
    *_items(
        "Results",
        ("35", "Numbers of patients included and excluded", "flow"),
        ("36", "Characteristics in each partition", "characteristics"),
        ("37", "Performance, with a benchmark", "performance comparison"),
        ("38", "Diagnostic performance with its precision", "performance"),
        ("39", "Analysis of failures", "failure_analysis"),
    ),
    *_items(
        "Discussion and other information",
        ("40", "Limitations", "limitations!"),
        ("41", "Implications, intended use and clinical role", "interpretation intended_use"),
        ("42", "Protocol and further technical detail", "protocol"),
        ("43", "Availability of software, model and data", "code_sharing data_sharing"),
        ("44", "Funding", "funding"),
    ),
)  # fmt: skip
"""Tejani 2024, Radiol Artif Intell 6:e240300: 44 items; they apply where images are among the modalities."""

MI_CLAIM = (
    *_items(
        "Part 1: study design",
        ("1.1", "The clinical problem in which the model will be used", "background intended_use"),
        ("1.2", "The research question", "objectives"),
        ("1.3", "Characteristics of the cohorts, training and test", "characteristics partition"),
        ("1.4", "That the cohorts are like real clinical settings", "representativeness"),
        ("1.5", "The state-of-the-art solution taken as baseline", "baseline"),
    ),
    *_items(
        "Parts 2 and 3: data and optimisation",
        ("2.1", "Origin of the data and their original format", "data_sources predictor_definitions"),
        ("2.2", "Transformations before the data reach the model", "predictor_handling data_preparation"),
        ("2.3", "Independence of training and test sets", "disjoint leakage"),
        ("2.4", "Models that were evaluated, and how the best was selected", "model_building selection"),
        ("2.5", "Whether the input is structured or unstructured", "input_types"),
    ),
    *_items(
        "Part 4: performance",
        ("4.1", "Primary metric of performance, and why", "measures"),
        ("4.2", "Primary metric of clinical utility, and why", "net_benefit clinical_utility"),
        ("4.3", "Comparison of baseline and model with statistical significance", "comparison uncertainty"),
    ),
    *_items(
        "Part 5: examination",
        ("5.1", "First technique of examination", "robustness"),
        ("5.2", "Second technique of examination", "explanation"),
        ("5.3", "What the examination says of the model's performance", "explanation"),
        ("5.4", "Interpretability for a single case", "certainty explanation"),
        ("5.5", "Reliability when the distribution of the data shifts", "distribution_shift!"),
    ),
    *_items(
        "Part 6: reproducibility",
        ("6.1", "Tier of sharing: 1 all code, 2 code for a third party to evaluate, 3 a virtual machine, 4 none", "code_sharing!"),
    ),
)  # fmt: skip
"""Norgeot 2020, Nat Med 26:1320."""
