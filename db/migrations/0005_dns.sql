-- breaking: no
-- What is published stays as it is until the publisher takes it back: hence no reference to the instance.
CREATE TABLE "local_dns_records" (
	"id" bigserial PRIMARY KEY,
	"instance_id" integer,
	"instance_uuid" text NOT NULL,
	"instance_index" integer NOT NULL,
	"instance_group" text NOT NULL,
	"az" text,
	"network" text NOT NULL,
	"deployment" text NOT NULL,
	"ip" text NOT NULL,
	"agent_id" text,
	"domain" text NOT NULL,
	"tombstone" boolean DEFAULT false NOT NULL
);

-- Ids inside DNS names; never given to another name.
CREATE TABLE "local_dns_encoded_names" (
	"id" serial PRIMARY KEY,
	"kind" text NOT NULL,
	"name" text NOT NULL,
	"deployment" text DEFAULT '' NOT NULL,
	CONSTRAINT "local_dns_encoded_names_unique" UNIQUE ("kind", "deployment", "name")
);

CREATE TABLE "local_dns_blobs" (
	"id" bigserial PRIMARY KEY,
	"records_id" bigint NOT NULL,
	"blobstore_id" text NOT NULL,
	"digest" text DEFAULT '' NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"stored" boolean DEFAULT false NOT NULL
);

CREATE TABLE "agent_dns_versions" (
	"agent_id" text PRIMARY KEY,
	"dns_version" bigint NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
