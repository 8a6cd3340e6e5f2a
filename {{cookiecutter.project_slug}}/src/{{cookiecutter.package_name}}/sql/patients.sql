-- The patients of the study, one row each: ten measurements and, a year later, how far the disease
-- had come. The study calls the blood values s1 to s6.
SELECT
  patient,
  age,
  sex,
  bmi,
  bp AS blood_pressure,
  s1 AS cholesterol,
  s2 AS ldl,
  s3 AS hdl,
  s4 AS cholesterol_to_hdl,
  s5 AS log_triglycerides,
  s6 AS glucose,
  progression
FROM study.patients
WHERE age >= @min_age
ORDER BY patient
