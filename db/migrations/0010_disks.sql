-- breaking: no
-- Persistent disks. A row is written (state `creating`, no cid) before `create_disk` and completed after it.
CREATE TABLE "persistent_disks" (
	"id" serial PRIMARY KEY,
	"instance_id" integer NOT NULL REFERENCES "instances"("id"),
	"cid" text UNIQUE,
	"name" text DEFAULT '' NOT NULL,
	"size" integer NOT NULL,
	"cloud_properties" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"cpi" text DEFAULT '' NOT NULL,
	"state" text NOT NULL CHECK ("state" IN ('creating', 'created', 'updating')),
	"active" boolean DEFAULT false NOT NULL,
	-- The VM that has it or may have it: written before `attach_disk`, removed after `detach_disk` or with the VM.
	"vm_id" integer REFERENCES "vms"("id") ON DELETE SET NULL,
	"attached" boolean DEFAULT false NOT NULL,
	-- Its content is being, or has been, copied onto it from the active one.
	"copying" boolean DEFAULT false NOT NULL,
	"task_id" bigint,
	"epoch" bigint,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "persistent_disks_cid" CHECK ("state" = 'creating' OR "cid" IS NOT NULL)
);
CREATE INDEX "persistent_disks_instance" ON "persistent_disks" ("instance_id");
CREATE INDEX "persistent_disks_vm" ON "persistent_disks" ("vm_id");
CREATE UNIQUE INDEX "persistent_disks_one_active" ON "persistent_disks" ("instance_id", "name") WHERE "active";

CREATE TABLE "snapshots" (
	"id" serial PRIMARY KEY,
	"disk_id" integer NOT NULL REFERENCES "persistent_disks"("id") ON DELETE CASCADE,
	"cid" text UNIQUE,
	"clean" boolean NOT NULL,
	"task_id" bigint,
	"epoch" bigint,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
CREATE INDEX "snapshots_disk" ON "snapshots" ("disk_id");

-- Disks that no instance has any more, kept for a while.
CREATE TABLE "orphan_disks" (
	"id" serial PRIMARY KEY,
	"cid" text NOT NULL UNIQUE,
	"name" text DEFAULT '' NOT NULL,
	"size" integer NOT NULL,
	"az" text,
	"deployment_name" text NOT NULL,
	"instance_name" text NOT NULL,
	"cloud_properties" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"cpi" text DEFAULT '' NOT NULL,
	-- Its deletion has begun: it cannot be given to an instance any more.
	"deleting" boolean DEFAULT false NOT NULL,
	"orphaned_at" timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE "orphan_snapshots" (
	"id" serial PRIMARY KEY,
	"orphan_disk_id" integer NOT NULL REFERENCES "orphan_disks"("id") ON DELETE CASCADE,
	"cid" text NOT NULL UNIQUE,
	"clean" boolean NOT NULL,
	"snapshot_created_at" timestamp with time zone NOT NULL,
	"orphaned_at" timestamp with time zone DEFAULT now() NOT NULL
);
CREATE INDEX "orphan_snapshots_disk" ON "orphan_snapshots" ("orphan_disk_id");

-- Disks and snapshots that the cloud may have made without telling anybody their names: the node that had asked for them died before the answer.
CREATE TABLE "possible_leaks" (
	"id" serial PRIMARY KEY,
	"kind" text NOT NULL CHECK ("kind" IN ('disk', 'snapshot')),
	"deployment_name" text NOT NULL,
	"instance_name" text NOT NULL,
	"size" integer NOT NULL,
	"disk_cid" text,
	"cpi" text DEFAULT '' NOT NULL,
	"begun_at" timestamp with time zone NOT NULL,
	"noticed_at" timestamp with time zone DEFAULT now() NOT NULL
);
