/** All tables, for drizzle's relational types and for migrations: the only barrel of the project. */
export * from './auth';
export * from './bus';
export * from './cluster';
export * from './configs';
export * from './deployments';
export * from './disks';
export * from './dns';
export * from './events';
export * from './health';
export * from './links';
export * from './networks';
export * from './releases';
export * from './scheduler';
export * from './stemcells';
export * from './tasks';
export * from './variables';
