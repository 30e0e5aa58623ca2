-- Billing: what customers may never lose. Owned by postgres, so that the application cannot change its own limits.
CREATE SCHEMA IF NOT EXISTS secondsite;
CREATE TABLE IF NOT EXISTS secondsite.customers (
    name text PRIMARY KEY,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
-- The account's own id is what the erasure ledger knows it by: it says nothing of the person, and no two accounts have the same.
ALTER TABLE secondsite.customers ADD COLUMN IF NOT EXISTS id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid();
ALTER TABLE secondsite.customers ADD COLUMN IF NOT EXISTS contact text NOT NULL DEFAULT '';
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
-- Whoever closed his account; the next clean-up erases him.
CREATE TABLE IF NOT EXISTS secondsite.closures (
    customer text PRIMARY KEY REFERENCES secondsite.customers,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
-- What stands here is not erased, whoever asks for it.
CREATE TABLE IF NOT EXISTS secondsite.legal_holds (
    customer text PRIMARY KEY REFERENCES secondsite.customers,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
-- That something about a person was put right, and when; what it was before is gone.
CREATE TABLE IF NOT EXISTS secondsite.corrections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL REFERENCES secondsite.customers,
    what text NOT NULL,
    by_whom text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
-- Every hold and revocation, and its end: by whom, when and why. Only ever added to.
CREATE TABLE IF NOT EXISTS secondsite.account_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer text NOT NULL REFERENCES secondsite.customers,
    change text NOT NULL,
    reason text NOT NULL,
    by_whom text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE secondsite.account_changes DROP CONSTRAINT IF EXISTS account_changes_change_check;
ALTER TABLE secondsite.account_changes ADD CONSTRAINT account_changes_change_check CHECK (change IN (
    'hold', 'release', 'revoke', 'readmit', 'close', 'reopen', 'legal-hold', 'lift-legal-hold', 'refuse-erasure'));
-- In the place of everybody who was erased: bookkeeping keeps number, amount and day of a bill. No password has that hash.
INSERT INTO secondsite.customers (name, password_hash)
    VALUES ('erased', 'scrypt$4096$8$1$bm9ib2R5J3Mgc2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')
    ON CONFLICT DO NOTHING;
INSERT INTO secondsite.revocations (customer, reason) VALUES ('erased', 'always: this is nobody') ON CONFLICT DO NOTHING;
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
GRANT SELECT, INSERT, UPDATE (password_hash, contact) ON secondsite.customers TO shop;
GRANT SELECT, INSERT ON secondsite.logins, secondsite.bills, secondsite.corrections TO shop;
GRANT SELECT, INSERT, UPDATE (item) ON secondsite.orders TO shop;
GRANT SELECT ON secondsite.holds, secondsite.revocations, secondsite.account_changes TO shop;
GRANT SELECT ON secondsite.orders, secondsite.bills, secondsite.logins TO observer;
GRANT SELECT ON secondsite.holds, secondsite.revocations, secondsite.account_changes TO observer;
GRANT SELECT, INSERT ON secondsite.writability TO observer;
GRANT SELECT, INSERT, UPDATE ON secondsite.heartbeat TO observer;
ALTER ROLE shop SET statement_timeout = '1500ms';
ALTER ROLE shop SET lock_timeout = '1s';
ALTER ROLE shop SET idle_in_transaction_session_timeout = '5s';
