// Package encryption keeps objects encrypted on the disk.
//
// # The problem
//
// Who gets hold of etcd's files, or of a backup of them, reads every secret of the cluster: etcd encrypts nothing. So chosen resources are
// encrypted before etcd sees them. Keys are replaced now and then, and data is moved from one provider to another, while the cluster
// runs and old values are still there. And what one server has written, another must be able to read, also upstream's: the form on the disk
// is exactly upstream's, down to the prefix that names provider and key.
//
// # The flow
//
// Load reads an EncryptionConfiguration, by which each resource has a list of providers. The store hands the Transformer every value on
// its way to etcd and back:
//
//	secrets/default/db ──► first provider, first key ──► k8s:enc:secretbox:v1:key1:<nonce, box>
//	k8s:enc:aescbc:v1:old:<…> ──► the provider and key that the prefix names ──► the value, stale: the next write moves it
//
// The image of the store holds plain values, so reading costs what it costs without encryption.
//
// Keys are in the configuration file (aescbc, aesgcm, secretbox), or known only to a plugin that is asked by gRPC (kms v2): then values are
// encrypted by keys that this server derives from a seed of its own, and the seed lies beside each value, encrypted by the plugin. A
// seed is decrypted once and remembered, so the plugin is asked about a handful of seeds rather than about every object.
//
// # The guarantees
//
//   - A resource that is configured is never written in plain, unless identity comes first in its list.
//   - Data from before the configuration can be read for as long as identity is in the list.
//   - A value that was moved to the key of another object is not taken for that one's, with aesgcm and kms: the object's key in etcd
//     is authenticated with it.
//   - With kms, nothing is written by a seed that the plugin has not confirmed for three minutes.
//
// Whoever follows the file (Follow) may add a key, make it the first, and drop the old one later, without a restart.
//
// # Simpler than upstream
//
// Ciphers are Go's own, wired here in a few lines each instead of by transformers within transformers. KMS v1, which upstream has switched off, is refused.
package encryption
