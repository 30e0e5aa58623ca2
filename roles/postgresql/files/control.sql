-- The control arm: replicated asynchronously, so that a drill can see loss where loss is possible.
CREATE SCHEMA IF NOT EXISTS secondsite;
CREATE TABLE IF NOT EXISTS secondsite.marks (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
-- Written only in transactions that are rolled back: whether a node is writable is found by writing.
CREATE TABLE IF NOT EXISTS secondsite.writability (
    at timestamptz NOT NULL DEFAULT now(),
    node text NOT NULL
);
CREATE TABLE IF NOT EXISTS secondsite.heartbeat (
    node text PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
GRANT USAGE ON SCHEMA secondsite TO control, observer;
GRANT SELECT, INSERT ON secondsite.marks TO control;
GRANT SELECT ON secondsite.marks TO observer;
GRANT SELECT, INSERT ON secondsite.writability TO observer;
GRANT SELECT, INSERT, UPDATE ON secondsite.heartbeat TO observer;
ALTER ROLE control SET statement_timeout = '1500ms';
ALTER ROLE control SET lock_timeout = '1s';
ALTER ROLE control SET idle_in_transaction_session_timeout = '5s';
