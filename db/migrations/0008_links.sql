-- breaking: no
-- Links that deployments provide and consume. Only rows with the serial of their deployment count; others are of an older deploy.
CREATE TABLE "link_providers" (
	"id" serial PRIMARY KEY,
	"deployment_id" integer NOT NULL REFERENCES "deployments"("id") ON DELETE CASCADE,
	"instance_group" text NOT NULL,
	"name" text NOT NULL,
	"type" text NOT NULL,
	"serial_id" integer NOT NULL,
	CONSTRAINT "link_providers_unique" UNIQUE ("deployment_id", "instance_group", "name", "type")
);

CREATE TABLE "link_provider_intents" (
	"id" serial PRIMARY KEY,
	"link_provider_id" integer NOT NULL REFERENCES "link_providers"("id") ON DELETE CASCADE,
	"original_name" text NOT NULL,
	"type" text NOT NULL,
	"name" text NOT NULL,
	"shared" boolean NOT NULL,
	"consumable" boolean NOT NULL,
	"content" jsonb,
	"metadata" jsonb NOT NULL,
	"serial_id" integer NOT NULL,
	CONSTRAINT "link_provider_intents_unique" UNIQUE ("link_provider_id", "original_name")
);

CREATE TABLE "link_consumers" (
	"id" serial PRIMARY KEY,
	"deployment_id" integer NOT NULL REFERENCES "deployments"("id") ON DELETE CASCADE,
	"instance_group" text DEFAULT '' NOT NULL,
	"name" text NOT NULL,
	"type" text NOT NULL,
	"serial_id" integer NOT NULL,
	CONSTRAINT "link_consumers_unique" UNIQUE ("deployment_id", "instance_group", "name", "type")
);

CREATE TABLE "link_consumer_intents" (
	"id" serial PRIMARY KEY,
	"link_consumer_id" integer NOT NULL REFERENCES "link_consumers"("id") ON DELETE CASCADE,
	"original_name" text NOT NULL,
	"type" text NOT NULL,
	"name" text NOT NULL,
	"optional" boolean NOT NULL,
	"blocked" boolean NOT NULL,
	"metadata" jsonb NOT NULL,
	"target_link_id" integer,
	"serial_id" integer NOT NULL,
	CONSTRAINT "link_consumer_intents_unique" UNIQUE ("link_consumer_id", "original_name")
);

CREATE TABLE "links" (
	"id" serial PRIMARY KEY,
	"name" text NOT NULL,
	"link_provider_intent_id" integer REFERENCES "link_provider_intents"("id") ON DELETE SET NULL,
	"link_consumer_intent_id" integer NOT NULL REFERENCES "link_consumer_intents"("id") ON DELETE CASCADE,
	"content" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
CREATE INDEX "links_consumer" ON "links" ("link_consumer_intent_id");
CREATE INDEX "links_provider" ON "links" ("link_provider_intent_id");
