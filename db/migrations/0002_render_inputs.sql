-- breaking: no
-- What the templates were rendered from: equal inputs need no rendering, on any node.
ALTER TABLE "rendered_templates_archives" ADD COLUMN "input_key" text;
ALTER TABLE "rendered_templates_archives" ADD COLUMN "template_hashes" jsonb;

CREATE INDEX "accepted_requests_task" ON "accepted_requests" ("task_id");
