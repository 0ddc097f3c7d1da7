-- Fraud detection with a process function in C. Beside this file: cc -shared -fPIC fraud.c -o fraud.so; sabot run fraud.sql
CREATE FUNCTION fraud AS 'fraud_function' LANGUAGE C USING FILE './fraud.so';

CREATE TABLE payments (account BIGINT, amount DOUBLE, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
WITH ('connector' = 'filesystem', 'path' = 'payments.csv', 'format' = 'csv');

SELECT account, amount, after_ms, rowtime
FROM fraud(input => TABLE payments PARTITION BY account, on_time => DESCRIPTOR(ts), large => 300.0);
