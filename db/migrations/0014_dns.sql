-- breaking: no
-- What DNS says of an instance beside its addresses, as of its last update: its group, AZ and the links that it provides. Null: as it is recorded.
ALTER TABLE "instances" ADD COLUMN "dns" jsonb;

ALTER TABLE "local_dns_records" ADD COLUMN "links" text[] DEFAULT '{}' NOT NULL;

-- Names that all providers of a link answer to. A row without a deployment marks that others were deleted.
CREATE TABLE "local_dns_aliases" (
	"id" bigserial PRIMARY KEY,
	"deployment_id" integer REFERENCES "deployments"("id") ON DELETE CASCADE,
	"domain" text NOT NULL,
	"group_id" integer,
	"health_filter" text,
	"initial_health_check" text,
	"placeholder_type" text
);
CREATE INDEX "local_dns_aliases_deployment" ON "local_dns_aliases" ("deployment_id");

ALTER TABLE "local_dns_blobs" ADD COLUMN "aliases_id" bigint DEFAULT 0 NOT NULL;

-- One row: what tasks have asked the publisher for, by number, and how far it has come.
CREATE TABLE "local_dns_requests" (
	"only" boolean PRIMARY KEY DEFAULT true CHECK ("only"),
	"requested" bigint DEFAULT 0 NOT NULL,
	"answered" bigint DEFAULT 0 NOT NULL,
	"answer_version" bigint,
	"broadcast_requested" bigint DEFAULT 0 NOT NULL,
	"broadcast_done" bigint DEFAULT 0 NOT NULL
);
INSERT INTO "local_dns_requests" DEFAULT VALUES;
