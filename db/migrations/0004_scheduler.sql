-- breaking: no
CREATE TABLE "schedules" (
	"name" text PRIMARY KEY,
	"command" text NOT NULL,
	"schedule" text NOT NULL,
	"params" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"missed" text NOT NULL,
	"position" integer NOT NULL,
	"paused" boolean DEFAULT false NOT NULL,
	"last_slot_at" timestamp with time zone,
	"next_slot_at" timestamp with time zone,
	"resumed_at" timestamp with time zone,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);

-- What became of each time at which an entry was due: the key is what makes a slot fire once.
CREATE TABLE "schedule_slots" (
	"schedule" text NOT NULL,
	"slot_at" timestamp with time zone NOT NULL,
	"decided_at" timestamp with time zone DEFAULT now() NOT NULL,
	"outcome" text NOT NULL,
	"task_id" bigint,
	"epoch" bigint NOT NULL,
	PRIMARY KEY ("schedule", "slot_at")
);
CREATE INDEX "schedule_slots_decided" ON "schedule_slots" ("decided_at");
