-- breaking: no
-- Compiled releases that operators exported, to be downloaded. Without digest: a task is about to store the blob.
CREATE TABLE "exported_releases" (
	"blobstore_id" text PRIMARY KEY,
	"digest" text,
	"task_id" bigint NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
