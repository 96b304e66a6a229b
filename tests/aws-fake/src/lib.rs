//! S3, SQS, Secrets Manager and STS over HTTP on loopback, with faults on demand.
