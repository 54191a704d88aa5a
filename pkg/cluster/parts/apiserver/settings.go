package apiserver

// Settings are what people may want of an API server besides what makes it a part of its cluster. Each is a flag of upstream's; the
// zero value is what a cluster has that nobody has told anything.
type Settings struct {
	// EncryptionConfig is an EncryptionConfiguration; empty takes the one that was made with the certificates, which encrypts secrets.
	EncryptionConfig string
}
