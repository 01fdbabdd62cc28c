export const airflowLabel = 'knada.io/airflow';
