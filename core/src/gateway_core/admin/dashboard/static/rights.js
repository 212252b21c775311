// What a role may do; the gateway decides, this only leaves out what it would refuse.

const RANKS = { viewer: 0, operator: 1, editor: 2 };

export const may = (page, role) => RANKS[page.session?.role] >= RANKS[role];

/** A note in place of what a role may not do. */
export const needs = (role) => `This needs the role ${role}.`;
