-- breaking: no
-- The built-in store of variables. `sealed` is the value, encrypted; nothing else says anything about it.
CREATE TABLE "variable_values" (
	"id" uuid PRIMARY KEY,
	"seq" bigserial NOT NULL,
	"name" text NOT NULL,
	"type" text NOT NULL,
	"parameters" jsonb NOT NULL,
	"sealed" bytea NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
CREATE INDEX "variable_values_name" ON "variable_values" ("name", "seq");

-- The versions that one deploy of a deployment uses.
CREATE TABLE "variable_sets" (
	"id" bigserial PRIMARY KEY,
	"deployment_id" integer NOT NULL REFERENCES "deployments"("id") ON DELETE CASCADE,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"deployed_successfully" boolean DEFAULT false NOT NULL,
	"writable" boolean DEFAULT false NOT NULL
);
CREATE INDEX "variable_sets_deployment" ON "variable_sets" ("deployment_id", "id");

CREATE TABLE "variables" (
	"id" bigserial PRIMARY KEY,
	"variable_set_id" bigint NOT NULL REFERENCES "variable_sets"("id") ON DELETE CASCADE,
	"name" text NOT NULL,
	"variable_id" text NOT NULL,
	"is_local" boolean DEFAULT true NOT NULL,
	"provider_deployment" text DEFAULT '' NOT NULL,
	CONSTRAINT "variables_unique" UNIQUE ("variable_set_id", "name", "provider_deployment")
);
CREATE INDEX "variables_variable_id" ON "variables" ("variable_id");

ALTER TABLE "instances" ADD COLUMN "variable_set_id" bigint REFERENCES "variable_sets"("id") ON DELETE SET NULL;
