-- The demo: bids of a live auction site (Nexmark) by channel, in windows of 4 seconds that slide by 1 second.
-- `make demo` runs it for some seconds of real time; event time runs as fast as the clock.
CREATE TABLE events (
    event_type INT,
    person ROW<id BIGINT, name STRING, `dateTime` TIMESTAMP(3)>,
    auction ROW<id BIGINT, itemName STRING, `dateTime` TIMESTAMP(3)>,
    bid ROW<auction BIGINT, bidder BIGINT, price BIGINT, channel STRING, `dateTime` TIMESTAMP(3)>,
    `dateTime` AS CASE WHEN event_type = 0 THEN person.`dateTime`
                       WHEN event_type = 1 THEN auction.`dateTime`
                       ELSE bid.`dateTime` END,
    WATERMARK FOR `dateTime` AS `dateTime` - INTERVAL '1' SECOND
) WITH (
    'connector' = 'nexmark',
    'first-event.rate' = '200000',
    'next-event.rate' = '200000',
    'rows-per-second' = '200000',
    'events.num' = '3000000'
);

SELECT window_end, bid.channel AS channel, COUNT(*) AS bids, COUNT(DISTINCT bid.bidder) AS bidders, MAX(bid.price) AS best
FROM TABLE(HOP(TABLE events, DESCRIPTOR(`dateTime`), INTERVAL '1' SECOND, INTERVAL '4' SECOND))
WHERE event_type = 2 AND bid.channel IN ('Apple', 'Google', 'Facebook', 'Baidu')
GROUP BY window_start, window_end, bid.channel;
