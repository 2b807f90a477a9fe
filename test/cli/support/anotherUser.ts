/** Nobody's number, who owns nothing here; 65534 would be that of "nobody". */
const uid = '65533'

export const isRoot = process.getuid?.() === 0

/** In front of a command, for root: it runs as somebody else, who can make no cgroup. */
export const asAnotherUser = ['setpriv', '--reuid', uid, '--regid', uid, '--clear-groups'] as const

/** What is different in that one's environment. */
export const environmentOfAnother = {HOME: '/nowhere'} as const
