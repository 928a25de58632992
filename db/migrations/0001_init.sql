-- breaking: no
CREATE TABLE "sessions" (
	"token_sha256" text PRIMARY KEY NOT NULL,
	"username" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);

CREATE TABLE "director_nodes" (
	"id" uuid PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"host" text NOT NULL,
	"url" text NOT NULL,
	"roles" text[] NOT NULL,
	"version" text NOT NULL,
	"pid" integer NOT NULL,
	"state" text NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"heartbeat_at" timestamp with time zone DEFAULT now() NOT NULL,
	"stopped_at" timestamp with time zone,
	"vitals" jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE "director_settings" (
	"key" text PRIMARY KEY NOT NULL,
	"value" jsonb NOT NULL
);

CREATE TABLE "lease_history" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"epoch" bigint NOT NULL,
	"holder" uuid NOT NULL,
	"acquired_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp with time zone,
	"reason" text
);

CREATE TABLE "leases" (
	"name" text PRIMARY KEY NOT NULL,
	"holder" uuid,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"acquired_at" timestamp with time zone,
	"expires_at" timestamp with time zone,
	"last_progress_at" timestamp with time zone,
	"paused" boolean DEFAULT false NOT NULL,
	"wanted_holder" uuid
);

CREATE TABLE "locks" (
	"name" text PRIMARY KEY NOT NULL,
	"uid" uuid NOT NULL,
	"task_id" bigint NOT NULL,
	"epoch" bigint NOT NULL,
	"acquired_at" timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE "nats_auth_appliers" (
	"server_name" text PRIMARY KEY NOT NULL,
	"applied_revision" bigint DEFAULT 0 NOT NULL,
	"heartbeat_at" timestamp with time zone DEFAULT now() NOT NULL,
	"address" text DEFAULT '' NOT NULL
);

CREATE TABLE "nats_users_revision" (
	"id" integer PRIMARY KEY DEFAULT 1 NOT NULL,
	"revision" bigint DEFAULT 0 NOT NULL
);

CREATE TABLE "configs" (
	"id" serial PRIMARY KEY NOT NULL,
	"type" text NOT NULL,
	"name" text NOT NULL,
	"content" text NOT NULL,
	"team" text,
	"deleted" boolean DEFAULT false NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE "deployment_configs" (
	"id" serial PRIMARY KEY NOT NULL,
	"deployment_id" integer NOT NULL,
	"config_id" integer NOT NULL
);

CREATE TABLE "deployment_release_versions" (
	"deployment_id" integer NOT NULL,
	"release_version_id" integer NOT NULL,
	CONSTRAINT "deployment_release_versions_deployment_id_release_version_id_pk" PRIMARY KEY("deployment_id","release_version_id")
);

CREATE TABLE "deployment_stemcells" (
	"deployment_id" integer NOT NULL,
	"stemcell_id" integer NOT NULL,
	CONSTRAINT "deployment_stemcells_deployment_id_stemcell_id_pk" PRIMARY KEY("deployment_id","stemcell_id")
);

CREATE TABLE "deployments" (
	"id" serial PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"canonical_name" text NOT NULL,
	"teams" text[] DEFAULT '{}' NOT NULL,
	"manifest" jsonb,
	"manifest_text" text,
	"tags" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"links_serial_id" integer DEFAULT 0 NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "deployments_name_unique" UNIQUE("name"),
	CONSTRAINT "deployments_canonical_name_unique" UNIQUE("canonical_name")
);

CREATE TABLE "instances" (
	"id" serial PRIMARY KEY NOT NULL,
	"uuid" uuid NOT NULL,
	"deployment_id" integer NOT NULL,
	"job" text NOT NULL,
	"index" integer NOT NULL,
	"az" text,
	"state" text DEFAULT 'started' NOT NULL,
	"bootstrap" boolean DEFAULT false NOT NULL,
	"ignore" boolean DEFAULT false NOT NULL,
	"compilation" boolean DEFAULT false NOT NULL,
	"update_completed" boolean DEFAULT false NOT NULL,
	"spec" jsonb,
	"cloud_properties" jsonb,
	"last_changes" jsonb DEFAULT '[]'::jsonb NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "instances_uuid_unique" UNIQUE("uuid")
);

CREATE TABLE "ip_addresses" (
	"address" text PRIMARY KEY NOT NULL,
	"network_name" text NOT NULL,
	"static" boolean NOT NULL,
	"instance_id" integer,
	"vm_id" integer,
	"orphaned_vm_id" integer,
	"task_id" bigint,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE "orphaned_vms" (
	"id" serial PRIMARY KEY NOT NULL,
	"cid" text NOT NULL,
	"agent_id" uuid NOT NULL,
	"cpi" text DEFAULT '' NOT NULL,
	"az" text,
	"deployment_name" text NOT NULL,
	"instance_name" text NOT NULL,
	"stemcell_api_version" integer,
	"orphaned_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "orphaned_vms_cid_unique" UNIQUE("cid")
);

CREATE TABLE "rendered_templates_archives" (
	"id" serial PRIMARY KEY NOT NULL,
	"instance_id" integer NOT NULL,
	"blobstore_id" text NOT NULL,
	"sha1" text NOT NULL,
	"content_sha1" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE "vms" (
	"id" serial PRIMARY KEY NOT NULL,
	"instance_id" integer,
	"agent_id" uuid NOT NULL,
	"cid" text,
	"state" text NOT NULL,
	"active" boolean DEFAULT false NOT NULL,
	"cpi" text DEFAULT '' NOT NULL,
	"az" text,
	"stemcell_api_version" integer,
	"networks" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"trusted_certs_sha1" text,
	"nats_config_sha1" text,
	"blobstore_config_sha1" text,
	"permanent_nats_credentials" boolean DEFAULT false NOT NULL,
	"task_id" bigint,
	"epoch" bigint,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "vms_agent_id_unique" UNIQUE("agent_id"),
	CONSTRAINT "vms_cid_unique" UNIQUE("cid")
);

CREATE TABLE "events" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"parent_id" bigint,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	"username" text NOT NULL,
	"action" text NOT NULL,
	"object_type" text NOT NULL,
	"object_name" text,
	"error" text,
	"task_id" bigint,
	"deployment" text,
	"instance" text,
	"context" jsonb DEFAULT '{}'::jsonb NOT NULL
);

CREATE TABLE "compiled_packages" (
	"id" serial PRIMARY KEY NOT NULL,
	"package_id" integer NOT NULL,
	"stemcell_os" text NOT NULL,
	"stemcell_version" text NOT NULL,
	"dependency_key" text NOT NULL,
	"dependency_key_sha1" text NOT NULL,
	"build" integer NOT NULL,
	"blobstore_id" text NOT NULL,
	"sha1" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE "jobs" (
	"id" serial PRIMARY KEY NOT NULL,
	"release_id" integer NOT NULL,
	"name" text NOT NULL,
	"version" text NOT NULL,
	"fingerprint" text NOT NULL,
	"blobstore_id" text NOT NULL,
	"sha1" text NOT NULL,
	"spec" jsonb NOT NULL,
	"packages" jsonb DEFAULT '[]'::jsonb NOT NULL
);

CREATE TABLE "packages" (
	"id" serial PRIMARY KEY NOT NULL,
	"release_id" integer NOT NULL,
	"name" text NOT NULL,
	"version" text NOT NULL,
	"fingerprint" text NOT NULL,
	"blobstore_id" text,
	"sha1" text,
	"dependencies" jsonb DEFAULT '[]'::jsonb NOT NULL
);

CREATE TABLE "release_version_jobs" (
	"release_version_id" integer NOT NULL,
	"job_id" integer NOT NULL,
	CONSTRAINT "release_version_jobs_release_version_id_job_id_pk" PRIMARY KEY("release_version_id","job_id")
);

CREATE TABLE "release_version_packages" (
	"release_version_id" integer NOT NULL,
	"package_id" integer NOT NULL,
	CONSTRAINT "release_version_packages_release_version_id_package_id_pk" PRIMARY KEY("release_version_id","package_id")
);

CREATE TABLE "release_versions" (
	"id" serial PRIMARY KEY NOT NULL,
	"release_id" integer NOT NULL,
	"version" text NOT NULL,
	"commit_hash" text DEFAULT 'unknown' NOT NULL,
	"uncommitted_changes" boolean DEFAULT false NOT NULL,
	"update_completed" boolean DEFAULT false NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE "releases" (
	"id" serial PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	CONSTRAINT "releases_name_unique" UNIQUE("name")
);

CREATE TABLE "stemcell_uploads" (
	"id" serial PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"version" text NOT NULL,
	"cpi" text DEFAULT '' NOT NULL
);

CREATE TABLE "stemcells" (
	"id" serial PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"version" text NOT NULL,
	"operating_system" text NOT NULL,
	"cid" text,
	"cpi" text DEFAULT '' NOT NULL,
	"api_version" integer,
	"sha1" text DEFAULT '' NOT NULL,
	"task_id" bigint,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE "accepted_requests" (
	"id" uuid PRIMARY KEY NOT NULL,
	"fingerprint" text NOT NULL,
	"task_id" bigint NOT NULL,
	"accepted_at" timestamp with time zone DEFAULT now() NOT NULL,
	"answered_at" timestamp with time zone
);

CREATE TABLE "task_attempts" (
	"task_id" bigint NOT NULL,
	"epoch" bigint NOT NULL,
	"attempt" integer NOT NULL,
	"node_id" uuid NOT NULL,
	"worker" text NOT NULL,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp with time zone,
	"outcome" text,
	CONSTRAINT "task_attempts_task_id_epoch_pk" PRIMARY KEY("task_id","epoch")
);

CREATE TABLE "task_output" (
	"task_id" bigint NOT NULL,
	"stream" text NOT NULL,
	"at" bigint NOT NULL,
	"epoch" bigint NOT NULL,
	"bytes" "bytea" NOT NULL,
	CONSTRAINT "task_output_task_id_stream_at_pk" PRIMARY KEY("task_id","stream","at")
);

CREATE TABLE "task_streams" (
	"task_id" bigint NOT NULL,
	"stream" text NOT NULL,
	"size" bigint DEFAULT 0 NOT NULL,
	"blob_id" text,
	"frames" jsonb,
	CONSTRAINT "task_streams_task_id_stream_pk" PRIMARY KEY("task_id","stream")
);

CREATE TABLE "tasks" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"type" text NOT NULL,
	"lane" text NOT NULL,
	"state" text NOT NULL,
	"description" text NOT NULL,
	"result" text,
	"username" text NOT NULL,
	"deployment" text,
	"context_id" text DEFAULT '' NOT NULL,
	"teams" text[] DEFAULT '{}' NOT NULL,
	"payload" jsonb NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp with time zone,
	"finished_at" timestamp with time zone,
	"epoch" bigint DEFAULT 0 NOT NULL,
	"attempt" integer DEFAULT 0 NOT NULL,
	"owner_node" uuid,
	"owner" text,
	"lease_expires_at" timestamp with time zone,
	"cancel_requested_at" timestamp with time zone,
	"checkpoint" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"output_packed" boolean DEFAULT false NOT NULL
);

ALTER TABLE "deployment_configs" ADD CONSTRAINT "deployment_configs_deployment_id_deployments_id_fk" FOREIGN KEY ("deployment_id") REFERENCES "public"."deployments"("id") ON DELETE cascade ON UPDATE no action;
ALTER TABLE "deployment_configs" ADD CONSTRAINT "deployment_configs_config_id_configs_id_fk" FOREIGN KEY ("config_id") REFERENCES "public"."configs"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "deployment_release_versions" ADD CONSTRAINT "deployment_release_versions_deployment_id_deployments_id_fk" FOREIGN KEY ("deployment_id") REFERENCES "public"."deployments"("id") ON DELETE cascade ON UPDATE no action;
ALTER TABLE "deployment_release_versions" ADD CONSTRAINT "deployment_release_versions_release_version_id_release_versions_id_fk" FOREIGN KEY ("release_version_id") REFERENCES "public"."release_versions"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "deployment_stemcells" ADD CONSTRAINT "deployment_stemcells_deployment_id_deployments_id_fk" FOREIGN KEY ("deployment_id") REFERENCES "public"."deployments"("id") ON DELETE cascade ON UPDATE no action;
ALTER TABLE "deployment_stemcells" ADD CONSTRAINT "deployment_stemcells_stemcell_id_stemcells_id_fk" FOREIGN KEY ("stemcell_id") REFERENCES "public"."stemcells"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "instances" ADD CONSTRAINT "instances_deployment_id_deployments_id_fk" FOREIGN KEY ("deployment_id") REFERENCES "public"."deployments"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "ip_addresses" ADD CONSTRAINT "ip_addresses_instance_id_instances_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instances"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "ip_addresses" ADD CONSTRAINT "ip_addresses_vm_id_vms_id_fk" FOREIGN KEY ("vm_id") REFERENCES "public"."vms"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "rendered_templates_archives" ADD CONSTRAINT "rendered_templates_archives_instance_id_instances_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instances"("id") ON DELETE cascade ON UPDATE no action;
ALTER TABLE "vms" ADD CONSTRAINT "vms_instance_id_instances_id_fk" FOREIGN KEY ("instance_id") REFERENCES "public"."instances"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "compiled_packages" ADD CONSTRAINT "compiled_packages_package_id_packages_id_fk" FOREIGN KEY ("package_id") REFERENCES "public"."packages"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "jobs" ADD CONSTRAINT "jobs_release_id_releases_id_fk" FOREIGN KEY ("release_id") REFERENCES "public"."releases"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "packages" ADD CONSTRAINT "packages_release_id_releases_id_fk" FOREIGN KEY ("release_id") REFERENCES "public"."releases"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "release_version_jobs" ADD CONSTRAINT "release_version_jobs_release_version_id_release_versions_id_fk" FOREIGN KEY ("release_version_id") REFERENCES "public"."release_versions"("id") ON DELETE cascade ON UPDATE no action;
ALTER TABLE "release_version_jobs" ADD CONSTRAINT "release_version_jobs_job_id_jobs_id_fk" FOREIGN KEY ("job_id") REFERENCES "public"."jobs"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "release_version_packages" ADD CONSTRAINT "release_version_packages_release_version_id_release_versions_id_fk" FOREIGN KEY ("release_version_id") REFERENCES "public"."release_versions"("id") ON DELETE cascade ON UPDATE no action;
ALTER TABLE "release_version_packages" ADD CONSTRAINT "release_version_packages_package_id_packages_id_fk" FOREIGN KEY ("package_id") REFERENCES "public"."packages"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "release_versions" ADD CONSTRAINT "release_versions_release_id_releases_id_fk" FOREIGN KEY ("release_id") REFERENCES "public"."releases"("id") ON DELETE no action ON UPDATE no action;
ALTER TABLE "accepted_requests" ADD CONSTRAINT "accepted_requests_task_id_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."tasks"("id") ON DELETE cascade ON UPDATE no action;
ALTER TABLE "task_attempts" ADD CONSTRAINT "task_attempts_task_id_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."tasks"("id") ON DELETE cascade ON UPDATE no action;
ALTER TABLE "task_output" ADD CONSTRAINT "task_output_task_id_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."tasks"("id") ON DELETE cascade ON UPDATE no action;
ALTER TABLE "task_streams" ADD CONSTRAINT "task_streams_task_id_tasks_id_fk" FOREIGN KEY ("task_id") REFERENCES "public"."tasks"("id") ON DELETE cascade ON UPDATE no action;
CREATE INDEX "lease_history_name_epoch" ON "lease_history" USING btree ("name","epoch");
CREATE INDEX "configs_type_name" ON "configs" USING btree ("type","name","id");
CREATE UNIQUE INDEX "deployment_configs_unique" ON "deployment_configs" USING btree ("deployment_id","config_id");
CREATE INDEX "instances_deployment" ON "instances" USING btree ("deployment_id","job");
CREATE INDEX "ip_addresses_instance" ON "ip_addresses" USING btree ("instance_id");
CREATE INDEX "ip_addresses_vm" ON "ip_addresses" USING btree ("vm_id");
CREATE INDEX "rendered_templates_archives_instance" ON "rendered_templates_archives" USING btree ("instance_id");
CREATE INDEX "vms_instance" ON "vms" USING btree ("instance_id");
CREATE INDEX "vms_task" ON "vms" USING btree ("task_id");
CREATE INDEX "events_deployment" ON "events" USING btree ("deployment","id");
CREATE INDEX "events_task" ON "events" USING btree ("task_id");
CREATE INDEX "events_at" ON "events" USING btree ("at");
CREATE UNIQUE INDEX "compiled_packages_unique" ON "compiled_packages" USING btree ("package_id","stemcell_os","stemcell_version","dependency_key_sha1");
CREATE UNIQUE INDEX "compiled_packages_build" ON "compiled_packages" USING btree ("package_id","stemcell_os","stemcell_version","build");
CREATE UNIQUE INDEX "jobs_unique" ON "jobs" USING btree ("release_id","name","version","fingerprint");
CREATE UNIQUE INDEX "packages_unique" ON "packages" USING btree ("release_id","name","version","fingerprint");
CREATE INDEX "packages_fingerprint" ON "packages" USING btree ("fingerprint");
CREATE UNIQUE INDEX "release_versions_unique" ON "release_versions" USING btree ("release_id","version");
CREATE UNIQUE INDEX "stemcell_uploads_unique" ON "stemcell_uploads" USING btree ("name","version","cpi");
CREATE UNIQUE INDEX "stemcells_unique" ON "stemcells" USING btree ("name","version","cpi");
CREATE INDEX "accepted_requests_fingerprint" ON "accepted_requests" USING btree ("fingerprint","accepted_at");
CREATE INDEX "tasks_deployment" ON "tasks" USING btree ("deployment","id");
CREATE INDEX "tasks_type" ON "tasks" USING btree ("type","id");
-- Output is compressed when it is packed; storing it plain keeps appends cheap.
ALTER TABLE "task_output" ALTER COLUMN "bytes" SET STORAGE EXTERNAL;
CREATE INDEX "tasks_unowned" ON "tasks" ("lane", "id") WHERE "owner" IS NULL AND "state" IN ('queued', 'processing', 'cancelling');
CREATE INDEX "tasks_owned" ON "tasks" ("owner_node") WHERE "state" IN ('processing', 'cancelling');
CREATE INDEX "tasks_unpacked" ON "tasks" ("finished_at") WHERE NOT "output_packed" AND "finished_at" IS NOT NULL;
CREATE UNIQUE INDEX "vms_one_active" ON "vms" ("instance_id") WHERE "active";

INSERT INTO "nats_users_revision" ("id", "revision") VALUES (1, 0);

-- Whoever changes the set of agents changes the revision with it, in the same transaction.
CREATE FUNCTION bump_nats_users_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE nats_users_revision SET revision = revision + 1 WHERE id = 1;
  PERFORM pg_notify('nats_users', '');
  RETURN NULL;
END $$;
CREATE TRIGGER vms_change_nats_users AFTER INSERT OR DELETE OR UPDATE OF "agent_id", "permanent_nats_credentials" ON "vms"
  FOR EACH STATEMENT EXECUTE FUNCTION bump_nats_users_revision();
