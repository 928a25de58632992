-- breaking: no
-- Networks of one number in an instance group share a network card.
ALTER TABLE "ip_addresses" ADD COLUMN "nic_group" integer;

-- Addresses of the machine that a node runs on: no instance gets one of them.
ALTER TABLE "director_nodes" ADD COLUMN "addresses" jsonb DEFAULT '[]'::jsonb NOT NULL;

-- Networks that the director makes and deletes through CPIs. A row is committed before the first subnet is asked for.
CREATE TABLE "networks" (
	"id" serial PRIMARY KEY,
	"name" text NOT NULL UNIQUE,
	"type" text NOT NULL,
	-- creating: not all of its subnets are made, an attempt goes on with them; created; deleting: an attempt goes on deleting them.
	"state" text NOT NULL,
	"orphaned" boolean DEFAULT false NOT NULL,
	"orphaned_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);

-- A subnet's row is committed (state creating, without a cloud id) before create_network and completed after it.
CREATE TABLE "subnets" (
	"id" serial PRIMARY KEY,
	"network_id" integer NOT NULL REFERENCES "networks"("id") ON DELETE CASCADE,
	"name" text NOT NULL,
	"state" text NOT NULL,
	"cpi" text DEFAULT '' NOT NULL,
	"cid" text,
	"range" text,
	"gateway" text,
	"reserved" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"cloud_properties" jsonb DEFAULT '{}'::jsonb NOT NULL,
	CONSTRAINT "subnets_unique" UNIQUE ("network_id", "name")
);

-- Deployments that use a managed network; it is orphaned when the last one goes.
CREATE TABLE "deployment_networks" (
	"deployment_id" integer NOT NULL REFERENCES "deployments"("id") ON DELETE CASCADE,
	"network_id" integer NOT NULL REFERENCES "networks"("id"),
	PRIMARY KEY ("deployment_id", "network_id")
);
