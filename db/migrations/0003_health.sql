-- breaking: no
CREATE TABLE "alerts" (
	"seq" bigserial PRIMARY KEY,
	"id" text NOT NULL,
	"dedup_key" text NOT NULL,
	"origin" text NOT NULL,
	"category" text,
	"severity" integer NOT NULL,
	"title" text NOT NULL,
	"summary" text NOT NULL,
	"source" text NOT NULL,
	"deployment" text,
	"job" text,
	"instance_id" text,
	"agent_id" text,
	"incident_id" bigint,
	"jobs_to_instance_ids" jsonb,
	"created_at" timestamp with time zone NOT NULL,
	"stored_at" timestamp with time zone DEFAULT now() NOT NULL,
	"dispatched" boolean DEFAULT false NOT NULL,
	CONSTRAINT "alerts_dedup_key_unique" UNIQUE("dedup_key")
);
CREATE INDEX "alerts_undispatched" ON "alerts" ("seq") WHERE NOT "dispatched";
CREATE INDEX "alerts_deployment" ON "alerts" ("deployment", "seq");
CREATE INDEX "alerts_incident" ON "alerts" ("incident_id");

-- One row per alert and plugin: the alert is delivered when every row says so.
CREATE TABLE "alert_deliveries" (
	"alert_seq" bigint NOT NULL REFERENCES "alerts"("seq") ON DELETE CASCADE,
	"plugin" text NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_attempt_at" timestamp with time zone DEFAULT now() NOT NULL,
	"delivered_at" timestamp with time zone,
	"given_up_at" timestamp with time zone,
	"error" text,
	PRIMARY KEY ("alert_seq", "plugin")
);
CREATE INDEX "alert_deliveries_open" ON "alert_deliveries" ("plugin", "alert_seq") WHERE "delivered_at" IS NULL AND "given_up_at" IS NULL;

-- A condition of an agent or instance from its beginning to its end; at most one open per kind and subject.
CREATE TABLE "incidents" (
	"id" bigserial PRIMARY KEY,
	"kind" text NOT NULL,
	"subject" text NOT NULL,
	"number" integer NOT NULL,
	"deployment" text,
	"job" text,
	"instance_id" text,
	"agent_id" text,
	"opened_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp with time zone,
	"end_reason" text,
	"scan_task_id" bigint,
	"scans" integer DEFAULT 0 NOT NULL
);
CREATE UNIQUE INDEX "incidents_one_open" ON "incidents" ("kind", "subject") WHERE "ended_at" IS NULL;
CREATE UNIQUE INDEX "incidents_number" ON "incidents" ("kind", "subject", "number");
CREATE INDEX "incidents_deployment" ON "incidents" ("deployment", "ended_at");

-- Counters of the health monitor that outlive whoever counts, e.g. `resurrector_scans`.
CREATE TABLE "health_counters" (
	"name" text PRIMARY KEY,
	"value" bigint DEFAULT 0 NOT NULL
);

-- A ring of 24 hours in 5-minute slots per instance: never more than 288 rows each.
CREATE TABLE "instance_vitals" (
	"instance_id" integer NOT NULL REFERENCES "instances"("id") ON DELETE CASCADE,
	"slot" smallint NOT NULL,
	"at" timestamp with time zone NOT NULL,
	"samples" integer NOT NULL,
	"values" real[] NOT NULL,
	PRIMARY KEY ("instance_id", "slot")
) WITH (fillfactor = 80);

-- The NATS server that an agent was last connected to, as that server's applier saw it.
CREATE TABLE "agent_paths" (
	"agent_id" text PRIMARY KEY,
	"server_name" text NOT NULL,
	"since" timestamp with time zone DEFAULT now() NOT NULL
);
CREATE INDEX "agent_paths_server" ON "agent_paths" ("server_name");

-- Hints for whoever mirrors the fleet: instances or VMs came, went or changed.
CREATE FUNCTION notify_fleet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('fleet', '');
  RETURN NULL;
END $$;
CREATE TRIGGER instances_change_fleet AFTER INSERT OR DELETE OR UPDATE OF "state", "ignore", "job", "index", "az", "deployment_id" ON "instances"
  FOR EACH STATEMENT EXECUTE FUNCTION notify_fleet();
CREATE TRIGGER vms_change_fleet AFTER INSERT OR DELETE OR UPDATE OF "agent_id", "cid", "active", "instance_id", "networks" ON "vms"
  FOR EACH STATEMENT EXECUTE FUNCTION notify_fleet();
CREATE TRIGGER deployments_change_fleet AFTER INSERT OR DELETE OR UPDATE OF "name", "teams" ON "deployments"
  FOR EACH STATEMENT EXECUTE FUNCTION notify_fleet();
