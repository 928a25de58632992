-- breaking: no
-- What a VM was made of: one that is left beside its instance's VM can be used later, or is given up.
ALTER TABLE "vms" ADD COLUMN "made_of" jsonb;
