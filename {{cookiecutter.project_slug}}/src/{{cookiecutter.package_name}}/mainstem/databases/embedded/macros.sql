-- What BigQuery does otherwise than DuckDB, as functions that rules.toml names. Where BigQuery raises, so do they; and
-- so they do with data of which it is not known what BigQuery makes of it.

CREATE MACRO bq_finite(x) AS CASE
    WHEN x IS NULL OR isfinite(x) THEN x
    ELSE error('the result is no finite number')
END;

-- Dates and times are those of the years 1 to 9999.
CREATE MACRO bq_in_years(x) AS x BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 23:59:59.999999';
CREATE MACRO bq_dated(x) AS CASE WHEN NOT bq_in_years(x) THEN error('outside of the years 1 to 9999') ELSE x END;
CREATE MACRO bq_may_dated(x) AS CASE WHEN bq_in_years(x) THEN x END;
-- BigQuery writes fewer digits of a year before 1000.
CREATE MACRO bq_written(t, format) AS CASE
    WHEN t < TIMESTAMP '1000-01-01 00:00:00' THEN error('years before 1000 are written otherwise')
    ELSE strftime(t, format)
END;

-- Rounds halves away from zero by the exact value, which x * 10^n in doubles is not: the error of that product, by
-- Dekker's splitting, tells 2.675 (a little less) from a half. The same as zetasql's RoundDecimal.
CREATE MACRO bq_high(x) AS 134217729.0::DOUBLE * x - (134217729.0::DOUBLE * x - x);
CREATE MACRO bq_lost(x, b) AS (bq_high(x) * b - x * b) + (x - bq_high(x)) * b;
CREATE MACRO bq_rounded(x, b) AS CASE
    WHEN abs(x * b) >= 4503599627370496 THEN x
    WHEN abs(x * b - trunc(x * b)) = 0.5 AND bq_lost(x, b) <> 0 AND (bq_lost(x, b) < 0) <> (x < 0) THEN trunc(x * b) / b
    ELSE round(x * b) / b
END;
CREATE MACRO bq_round(x, digits) AS CASE
    WHEN digits BETWEEN 0 AND 7 THEN bq_rounded(x, pow(10, digits))
    ELSE error('ROUND is emulated for 0 to 7 digits')
END;
CREATE MACRO bq_floor(x, n) AS (x - ((x % n) + n) % n) // n;

-- NULL if any is NULL; DuckDB passes over them.
CREATE MACRO bq_concat(texts) AS CASE WHEN list_count(texts) = len(texts) THEN array_to_string(texts, '') END;
CREATE MACRO bq_greatest(xs) AS CASE WHEN list_count(xs) = len(xs) THEN list_max(xs) END;
CREATE MACRO bq_least(xs) AS CASE WHEN list_count(xs) = len(xs) THEN list_min(xs) END;

-- Positions of text: 0 and what lies before the first character mean the first; lengths are not negative.
CREATE MACRO bq_count(n) AS CASE WHEN n < 0 THEN error('a length is negative') ELSE CAST(n AS INTEGER) END;
CREATE MACRO bq_substr(s, p, n) AS
    substr(s, CASE WHEN p = 0 OR p < -length(s) THEN 1 ELSE p END, bq_count(n));
-- White space is that of Unicode, not the space alone.
CREATE MACRO bq_spaces() AS E' \t\n\x0B\f\r' || chr(133) || chr(160) || chr(5760) || chr(8192) || chr(8193)
    || chr(8194) || chr(8195) || chr(8196) || chr(8197) || chr(8198) || chr(8199) || chr(8200) || chr(8201)
    || chr(8202) || chr(8232) || chr(8233) || chr(8239) || chr(8287) || chr(12288);
-- DuckDB changes the case of one letter to one letter: not where a letter becomes several, or looks at its neighbours.
CREATE MACRO bq_simple_case(s) AS CASE
    WHEN regexp_matches(s, '[\x{DF}\x{130}\x{149}\x{1F0}\x{390}\x{3A3}\x{3B0}\x{587}\x{1E96}-\x{1E9E}\x{1F50}-\x{1FFF}\x{FB00}-\x{FB17}]') THEN error('UPPER and LOWER of special letters (ß, İ, Σ)')
    ELSE s
END;
CREATE MACRO bq_extract(s, pattern, part) AS CASE
    WHEN regexp_matches(s, pattern) THEN regexp_extract(s, pattern, part)
END;
-- DuckDB finds one empty text more.
CREATE MACRO bq_extract_all(s, pattern, part) AS CASE
    WHEN regexp_matches('', pattern) OR list_contains(regexp_extract_all(s, pattern, 0), '')
        THEN error('REGEXP_EXTRACT_ALL with a pattern that empty text matches')
    ELSE regexp_extract_all(s, pattern, part)
END;
-- Text of single values only. A number with a fraction is written otherwise than it stands there.
CREATE MACRO bq_json(s, path) AS CASE json_type(s, path)
    WHEN 'OBJECT' THEN NULL
    WHEN 'ARRAY' THEN NULL
    WHEN 'NULL' THEN NULL
    WHEN 'DOUBLE' THEN error('JSON_VALUE of a number with a fraction: write CAST(JSON_VALUE(...) AS FLOAT64)')
    ELSE json_extract_string(s, path)
END;
CREATE MACRO bq_json_float(s, path, must) AS CASE
    WHEN json_type(s, path) IN ('DOUBLE', 'BIGINT', 'UBIGINT') THEN CAST(json_extract_string(s, path) AS DOUBLE)
    WHEN must THEN CAST(bq_must(bq_json(s, path), 'FLOAT64') AS DOUBLE)
    ELSE TRY_CAST(bq_may(bq_json(s, path), 'FLOAT64') AS DOUBLE)
END;

-- What text can be read as a type. DuckDB reads more forms, and BigQuery some of these: there it is an error.
CREATE MACRO bq_clock_form() AS '([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?';
CREATE MACRO bq_form(type) AS CASE type
    WHEN 'INT64' THEN '^[+-]?[0-9]+$'
    WHEN 'FLOAT64' THEN '^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$'
    WHEN 'NUMERIC' THEN '^[+-]?[0-9]{1,29}(\.[0-9]{1,9})?$'
    WHEN 'BOOL' THEN '^(?i:true|false)$'
    WHEN 'DATE' THEN '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}$'
    WHEN 'DATETIME' THEN '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T]' || bq_clock_form() || ')?$'
    ELSE '^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([ T]' || bq_clock_form() || '(Z|[+-]((0[0-9]|1[0-3])(:[0-5][0-9])?|14(:00)?))?)?$'
END;
CREATE MACRO bq_doubtful(type) AS CASE type
    WHEN 'INT64' THEN '^\s|\s$|^[+-]?0[xX]'
    WHEN 'FLOAT64' THEN '^\s|\s$|^[+-]?(0[xX]|(?i:inf|nan))'
    WHEN 'NUMERIC' THEN '[0-9]'
    WHEN 'BOOL' THEN '^\b$'
    ELSE '^\s*[0-9]{1,5}-[0-9]{1,2}-[0-9]{1,2}'
END;
CREATE MACRO bq_must(s, type) AS CASE
    WHEN s IS NULL OR regexp_matches(s, bq_form(type)) THEN s
    ELSE error('cannot read ' || s || ' as ' || type)
END;
CREATE MACRO bq_may(s, type) AS CASE
    WHEN regexp_matches(s, bq_form(type)) THEN s
    WHEN regexp_matches(s, bq_doubtful(type)) THEN error('it is not known whether BigQuery reads ' || s || ' as ' || type)
END;

-- Weeks begin on Sunday, or where it is said.
CREATE MACRO bq_week(d, first) AS d - CAST((date_part('dow', d) - first + 7) % 7 AS INTEGER);
CREATE MACRO bq_trunc(unit, t) AS CASE
    WHEN unit IN ('week', 'week(sunday)') THEN CAST(bq_week(CAST(t AS DATE), 0) AS TIMESTAMP)
    WHEN unit IN ('isoweek', 'week(monday)') THEN CAST(bq_week(CAST(t AS DATE), 1) AS TIMESTAMP)
    ELSE date_trunc(CASE WHEN unit LIKE '%week%' THEN 'day' ELSE unit END, CAST(t AS TIMESTAMP))
END;
-- How many ends of a unit lie between two dates or times.
CREATE MACRO bq_months(t) AS date_part('year', t) * 12 + date_part('month', t) - 1;
CREATE MACRO bq_days_apart(unit, a, b) AS CASE
    WHEN unit = 'day' THEN CAST(CAST(a AS DATE) - CAST(b AS DATE) AS BIGINT)
    WHEN unit = 'month' THEN bq_months(a) - bq_months(b)
    WHEN unit = 'quarter' THEN bq_months(a) // 3 - bq_months(b) // 3
    WHEN unit = 'year' THEN bq_months(a) // 12 - bq_months(b) // 12
    ELSE CAST(CAST(bq_trunc(unit, a) AS DATE) - CAST(bq_trunc(unit, b) AS DATE) AS BIGINT) // 7
END;
CREATE MACRO bq_microseconds(unit) AS CASE unit
    WHEN 'microsecond' THEN 1::BIGINT
    WHEN 'millisecond' THEN 1000::BIGINT
    WHEN 'second' THEN 1000000::BIGINT
    WHEN 'minute' THEN 60000000::BIGINT
    WHEN 'hour' THEN 3600000000::BIGINT
    ELSE 86400000000::BIGINT
END;
CREATE MACRO bq_clocks_apart(unit, a, b) AS
    bq_floor(epoch_us(a), bq_microseconds(unit)) - bq_floor(epoch_us(b), bq_microseconds(unit));

-- The n-th of an array, counted from 1: outside of it an error, or NULL.
CREATE MACRO bq_may_at(xs, n) AS CASE WHEN n BETWEEN 1 AND len(xs) THEN xs[n] END;
CREATE MACRO bq_must_at(xs, n) AS CASE
    WHEN n < 1 OR n > len(xs) THEN error('an index is outside of its array')
    ELSE xs[n]
END;
CREATE MACRO bq_step(n) AS CASE WHEN n = 0 THEN error('a step is 0') ELSE n END;
