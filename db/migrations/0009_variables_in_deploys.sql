-- breaking: no
-- A deploy's set is found again by the attempts of its task.
ALTER TABLE "variable_sets" ADD COLUMN "task_id" bigint;
CREATE UNIQUE INDEX "variable_sets_task" ON "variable_sets" ("task_id");
CREATE INDEX "instances_variable_set" ON "instances" ("variable_set_id");

-- What a value was generated from may itself be secret: it is sealed with the value. Nothing has ever written here.
ALTER TABLE "variable_values" DROP COLUMN "parameters";
