// Package pki makes the keys by which the parts of a cluster know each other, and keeps them valid.
//
// # The problem
//
// Every conversation in a cluster is TLS, and both ends prove themselves. So before anything can start there must be
// a certificate authority, a certificate for each server, one for each client, and a key to sign service account
// tokens. They expire, the machine gets another address, a file is lost, the power fails between two writes; a
// cluster of which people expect only that it starts must mend all of this by itself.
//
// # The flow
//
// Ensure observes what is on disk, plans, and applies. The plan is a pure function of the certificates found, those
// wanted, and now; each of its steps carries a reason in words ("apiserver: its addresses changed, now also
// 10.0.0.5"), which `bonsai up` shows. A second Ensure right after the first does nothing.
//
// # The guarantees
//
//   - There is one authority, and everything chains to it: no separate ones for etcd, the front proxy or the
//     kubelets. Upstream's several authorities keep apart what different teams operate, and here there is one
//     machine's owner.
//   - What a certificate says decides: it is issued anew if it is missing, does not fit its key, is not of this
//     authority, names another subject or other addresses, or expires within 30 days. Otherwise it is left alone.
//   - A renewed authority keeps its key and name, so that certificates and kubeconfigs issued under the old one stay
//     good.
//   - The key by which secrets are encrypted on the disk is made once, in the file that configures that, and never replaced.
//   - Files are written aside and renamed, mode 0600, the key before its certificate: a crash at any point leaves
//     something that the next Ensure recognises as unfinished.
//   - Certificates are valid from one hour ago, for machines whose clocks differ a little.
package pki
