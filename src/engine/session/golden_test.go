package session

// What derivations and suites give at wire version 1, checked against an independent implementation. A change of
// these breaks every peer.
const goldenConnID = 0x1d5edc6a

var goldenDatagrams = map[string]string{
	"AES-256-GCM/0":       "5001020304000006c06d15c417e30ff329fe05a0fe32ac645fcaedbc9fd0",
	"AES-256-GCM/1":       "50010203040000066672616d65733f503e3c2acf0a4afd8505b42bde2eea",
	"ChaCha20-Poly1305/0": "5001020304000006a366876fbc758d044d096496065235427c514ef2edd5",
	"ChaCha20-Poly1305/1": "50010203040000066672616d65737f6ad4512a0f3bda8509a81b070aabb3",
}
