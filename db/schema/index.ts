/** All tables, for drizzle's relational types and for migrations: the only barrel of the project. */
export * from './auth';
export * from './cluster';
export * from './configs';
export * from './deployments';
export * from './events';
export * from './releases';
export * from './stemcells';
export * from './tasks';
