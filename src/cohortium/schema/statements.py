"""What only a person can say of a study: the key ``statements`` of a study file, which checklists and model card quote.

Each is a text of a sentence or more. None of them changes a number, so a finished run can take them up without a fit.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from cohortium.schema.declare import Declaration


def _text(description: str) -> str | None:
    found: str | None = Field(None, description=description)
    return found


class Statements(Declaration):
    """Free texts, each asked for by one or more items of TRIPOD+AI, CLAIM, MI-CLAIM, PROBAST+AI or the model card."""

    background: str | None = _text("the clinical problem, why a model is needed, and which models there are already")
    intended_use: str | None = _text("for which patients, at which point of care, for which decision, by whom")
    out_of_scope: str | None = _text("uses for which the model is not meant")
    health_inequalities: str | None = _text("known differences in care or outcome between groups of these patients")
    data_sources: str | None = _text("where the data come from (cohort, trial, registry, routine care) and why these")
    study_design: str | None = _text(
        "prospective or retrospective; cohort, case-control, nested; how patients were sampled"
    )
    representativeness: str | None = _text("how the patients compare with those the model is meant for")
    dates: str | None = _text("first and last date of enrolment, end of follow-up")
    setting: str | None = _text("primary, secondary or tertiary care; number and place of the centres")
    eligibility: str | None = _text("inclusion and exclusion criteria, before the unit table was made")
    treatments: str | None = _text("treatments given, and how the analysis treats them")
    data_preparation: str | None = _text(
        "what was done to the data before they reached the study file, and how they were checked"
    )
    deidentification: str | None = _text("how the data were de-identified")
    image_acquisition: str | None = _text("scanners or stainers, protocols, resolution, sites")
    outcome_definition: str | None = _text("how the outcome is defined, when and how it was assessed, and why this one")
    outcome_assessors: str | None = _text("who assessed the outcome or annotated, with which training and which tools")
    outcome_blinding: str | None = _text("whether the outcome was assessed without knowledge of the predictors")
    outcome_timing: str | None = _text("the time between predictors and outcome, and why it is the right one")
    rater_agreement: str | None = _text("agreement within and between those who assessed outcome or images")
    predictor_choice: str | None = _text("how the candidate predictors were chosen before the study file was written")
    predictor_definitions: str | None = _text("how and when the predictors were measured, alike in everyone or not")
    predictor_assessors: str | None = _text("who judged predictors that need judgement, with which training")
    predictor_blinding: str | None = _text("whether predictors were assessed without knowledge of the outcome")
    predictor_availability: str | None = _text("whether every predictor is known when the model is to be used")
    sample_size: str | None = _text("how the number of patients came about, and why it is enough")
    missing_data: str | None = _text("why assays and values are missing")
    fairness: str | None = _text("what was done about fairness, why, and what was found")
    thresholds: str | None = _text("from which predicted risk on something is done, and why")
    differences: str | None = _text(
        "how development and evaluation data differ in setting, eligibility, outcome, predictors"
    )
    failure_analysis: str | None = _text("patients for whom the model was wrong, and what they have in common")
    explanation: str | None = _text("what 'explain' showed of the model, and what that means for its use")
    distribution_shift: str | None = _text(
        "what is to be expected when patients or assays change, and how it will be noticed"
    )
    clinical_utility: str | None = _text("the measure of clinical utility that matters here, and why")
    interpretation: str | None = _text("what the results mean, beside the objectives and earlier studies")
    limitations: str | None = _text("limitations beyond those that the report names")
    input_quality: str | None = _text("how poor or missing input is noticed and handled when the model is used")
    user_expertise: str | None = _text("what users have to do, and what they must know")
    next_steps: str | None = _text("further research, and where the model may and may not be carried over to")
    ethics: str | None = _text("committee and number of the approval, consent or waiver")
    ethical_considerations: str | None = _text("risks and harms of using the model, and what is done about them")
    funding: str | None = _text("who paid, and what part they had")
    conflicts: str | None = _text("conflicts of interest")
    protocol: str | None = _text("where the protocol can be read, or that there is none")
    registration: str | None = _text("register and number, or that the study was not registered")
    data_sharing: str | None = _text("where the data can be had, on which terms")
    code_sharing: str | None = _text("where study file, code and model can be had")
    patient_involvement: str | None = _text("how patients and the public took part, or that they did not")
    contact: str | None = _text("who answers questions on the model")
    license: str | None = _text("the licence of the model")

    @field_validator("*", mode="before")
    @classmethod
    def _said(cls, given: object) -> object:
        """An empty text says nothing, and must not count as an answer."""
        if given is None:
            return None
        if not isinstance(given, str):
            raise ValueError("a text is expected; put it in quotes or after '>'")
        if not given.strip():
            raise ValueError("is empty: write the text, or leave the key out")
        return " ".join(given.split())

    def given(self) -> dict[str, str]:
        """key -> text of what is stated, in the order of this file."""
        return {name: text for name in type(self).model_fields if (text := getattr(self, name)) is not None}


def asked() -> dict[str, str]:
    """key -> what to write there, in the order of this file."""
    return {name: f.description or "" for name, f in Statements.model_fields.items()}
