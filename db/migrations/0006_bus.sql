-- breaking: no
-- NATS servers that VMs shall use: of an AZ, or ('') of all that have no row of their own.
CREATE TABLE "bus_targets" (
	"az" text PRIMARY KEY,
	"urls" text[] NOT NULL,
	"move_id" bigint NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE "bus_moves" (
	"id" bigserial PRIMARY KEY,
	"az" text,
	"urls" text[] NOT NULL,
	"ca_sha1" text NOT NULL,
	"username" text NOT NULL,
	"problem" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp with time zone,
	"superseded_by" bigint
);

CREATE TABLE "bus_move_agents" (
	"move_id" bigint NOT NULL REFERENCES "bus_moves"("id") ON DELETE CASCADE,
	"agent_id" uuid NOT NULL,
	"state" text DEFAULT 'pending' NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp with time zone DEFAULT now() NOT NULL,
	"sent_at" timestamp with time zone,
	"error" text,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	PRIMARY KEY ("move_id", "agent_id")
);
CREATE INDEX "bus_move_agents_pending" ON "bus_move_agents" ("move_id", "next_attempt_at") WHERE "state" = 'pending';
CREATE INDEX "bus_move_agents_agent" ON "bus_move_agents" ("agent_id") WHERE "state" = 'pending';
