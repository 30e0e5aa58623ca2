-- Billing: what customers may never lose. Owned by postgres, so that the application cannot change its own limits.
CREATE SCHEMA IF NOT EXISTS secondsite;
CREATE TABLE IF NOT EXISTS secondsite.customers (
    name text PRIMARY KEY,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS secondsite.logins (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL REFERENCES secondsite.customers,
    at timestamptz NOT NULL DEFAULT now(),
    address inet NOT NULL
);
CREATE TABLE IF NOT EXISTS secondsite.orders (
    id uuid PRIMARY KEY,
    customer text NOT NULL REFERENCES secondsite.customers,
    item text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS orders_by_customer ON secondsite.orders (customer, at);
CREATE TABLE IF NOT EXISTS secondsite.bills (
    order_id uuid PRIMARY KEY REFERENCES secondsite.orders,
    customer text NOT NULL REFERENCES secondsite.customers,
    cents bigint NOT NULL CHECK (cents > 0),
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS bills_by_customer ON secondsite.bills (customer, at);
CREATE TABLE IF NOT EXISTS secondsite.holds (
    customer text PRIMARY KEY REFERENCES secondsite.customers,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
-- Who stands here may do nothing, whatever token he holds.
CREATE TABLE IF NOT EXISTS secondsite.revocations (
    customer text PRIMARY KEY REFERENCES secondsite.customers,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
-- Every hold and revocation, and its end: by whom, when and why. Only ever added to.
CREATE TABLE IF NOT EXISTS secondsite.account_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL REFERENCES secondsite.customers,
    change text NOT NULL CHECK (change IN ('hold', 'release', 'revoke', 'readmit')),
    reason text NOT NULL,
    by_whom text NOT NULL,
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
GRANT USAGE ON SCHEMA secondsite TO shop, observer;
GRANT SELECT, INSERT, UPDATE (password_hash) ON secondsite.customers TO shop;
GRANT SELECT, INSERT ON secondsite.logins, secondsite.bills TO shop;
GRANT SELECT, INSERT, UPDATE (item) ON secondsite.orders TO shop;
GRANT SELECT ON secondsite.holds, secondsite.revocations TO shop;
GRANT SELECT ON secondsite.orders, secondsite.bills, secondsite.logins TO observer;
GRANT SELECT ON secondsite.holds, secondsite.revocations, secondsite.account_changes TO observer;
GRANT SELECT, INSERT ON secondsite.writability TO observer;
GRANT SELECT, INSERT, UPDATE ON secondsite.heartbeat TO observer;
ALTER ROLE shop SET statement_timeout = '1500ms';
ALTER ROLE shop SET lock_timeout = '1s';
ALTER ROLE shop SET idle_in_transaction_session_timeout = '5s';
