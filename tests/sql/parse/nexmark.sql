-- The shapes of the Nexmark queries.
CREATE TABLE events (
    event_type int,
    person ROW<id BIGINT, name VARCHAR, emailAddress VARCHAR, `dateTime` TIMESTAMP(3), extra VARCHAR>,
    bid ROW<auction BIGINT, price BIGINT, dateTime TIMESTAMP(3)>,
    `dateTime` AS CASE WHEN event_type = 0 THEN person.`dateTime` ELSE bid.dateTime END,
    WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '4' SECOND
) WITH ('connector' = 'nexmark', 'events.num' = '1000');
CREATE VIEW bid AS SELECT bid.auction, bid.price, `dateTime` FROM events WHERE event_type = 2;
INSERT INTO sink SELECT auction, 0.908 * price as price, dateTime FROM bid; -- currency
INSERT INTO sink SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0;
INSERT INTO sink SELECT P.name, A.id FROM auction AS A INNER JOIN person AS P on A.seller = P.id WHERE A.category = 10 and (P.state = 'OR' OR P.state = 'CA');
INSERT INTO sink SELECT Q.category, AVG(Q.final) FROM (SELECT MAX(B.price) AS final, A.category FROM auction A, bid B WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires GROUP BY A.id, A.category) Q GROUP BY Q.category;
INSERT INTO sink SELECT a.auction, a.num FROM (SELECT auction, count(*) AS num, window_start AS s, window_end AS e FROM TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND)) GROUP BY auction, window_start, window_end) AS a JOIN (SELECT max(c.num) AS maxn, c.s FROM (SELECT 1 AS num, 2 AS s) AS c GROUP BY c.s) AS m ON a.s = m.s AND a.num >= m.maxn;
INSERT INTO sink SELECT Q.seller, AVG(Q.price) OVER (PARTITION BY Q.seller ORDER BY Q.dateTime ROWS BETWEEN 10 PRECEDING AND CURRENT ROW) FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY A.id ORDER BY B.price DESC) AS rownum FROM auction AS A, bid AS B WHERE A.id = B.auction and B.dateTime between A.dateTime and A.expires) AS Q WHERE rownum <= 1;
INSERT INTO sink SELECT B.auction, count(*) filter (where price >= 10000 and price < 1000000) AS r, count(distinct bidder) filter (where price < 10) AS d FROM bid B GROUP BY B.auction, DATE_FORMAT(`dateTime`, 'yyyy-MM-dd');
INSERT INTO sink SELECT B.bidder, count(*) as n, SESSION_START(B.dateTime, INTERVAL '10' SECOND) as s FROM bid B GROUP BY B.bidder, SESSION(B.dateTime, INTERVAL '10' SECOND);
INSERT INTO sink SELECT B.auction, S.value FROM (SELECT *, PROCTIME() as p_time FROM bid) B JOIN side_input FOR SYSTEM_TIME AS OF B.p_time AS S ON mod(B.auction, 10000) = S.key;
INSERT INTO sink SELECT CASE WHEN lower(channel) = 'apple' THEN '0' ELSE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) END AS channel_id FROM bid where REGEXP_EXTRACT(url, 'x', 2) is not null or lower(channel) in ('apple', 'google');
INSERT INTO sink SELECT A.dateTime AS d, minute, `day` FROM bid B JOIN person P ON P.id = B.bidder JOIN auction A ON A.seller = B.bidder;
INSERT INTO sink SELECT auction FROM bid MATCH_RECOGNIZE (PARTITION BY auction, bidder ORDER BY dateTime MEASURES START_ROW.dateTime AS s, LAST(UP.dateTime) AS e ONE ROW PER MATCH AFTER MATCH SKIP TO LAST UP PATTERN (START_ROW DOWN+ UP) DEFINE DOWN AS (LAST(DOWN.price, 1) IS NULL AND DOWN.price < START_ROW.price) OR DOWN.price < LAST(DOWN.price, 1), UP AS UP.price > 1);
